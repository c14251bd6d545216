package action

import (
	"os"
	"syscall"

	"github.com/org/hsnap-action/internal/config"
	"github.com/org/hsnap-action/internal/project"
)

// selection returns the inputs that select servers in the type of package project.
func selection(s config.Selection) project.Selection {
	return project.Selection{Servers: s.Servers, Exclude: s.Exclude, LabelSelector: s.LabelSelector}
}

// choices returns which snapshots the user means, by the names of their servers; nil for none.
func choices(images config.Images) map[string]project.Choice {
	if images == nil {
		return nil
	}
	list := map[string]project.Choice{}
	for name, image := range images {
		list[name] = project.Choice(image)
	}
	return list
}

// late returns [isLate] where the run is a part of GitHub Actions, else nil.
func late(run config.Run) func(os.Signal) bool {
	if run.Platform == config.GitHub {
		return isLate
	}
	return nil
}

// isLate reports whether GitHub's first signal is its last: it sends SIGINT before, and SIGKILL 2.5 s after SIGTERM.
func isLate(first os.Signal) bool { return first == syscall.SIGTERM }
