package config

import "cmp"

// Platform is the CI system that a run is a part of. It decides in which form the inputs are read.
type Platform string

// The platforms that are known by their variables.
const (
	Other      Platform = ""       // none of those below, or no CI at all
	GitHub     Platform = "github" // also Forgejo and Gitea, which set the same variables
	GitLab     Platform = "gitlab"
	Woodpecker Platform = "woodpecker" // also Drone, which it was forked from
)

// Run describes the CI run, by the platform's own variables. What a platform does not set is "".
type Run struct {
	Platform   Platform
	ID         string // stays the same when the run is attempted again
	Number     string // counts the runs of the workflow or repository
	Attempt    string // "1" for the first; GitHub only
	SHA        string // the commit, all 40 digits
	Ref        string // the branch or tag, without refs/heads/
	Workflow   string // its name
	Repository string // with owner or group: org/shop
	NoPostStep bool   // nothing runs after the action's own step, whatever action.yml says
}

// platform finds the CI system. GitHub's variable comes first: a runner may run inside a job of another system, whose
// variables it then passes on.
func (vars variables) platform() Platform {
	switch {
	case vars["GITHUB_ACTIONS"] == "true":
		return GitHub
	case vars["GITLAB_CI"] == "true":
		return GitLab
	case vars["CI"] == "woodpecker", vars["DRONE"] == "true":
		return Woodpecker
	}
	return Other
}

// run collects what the platform's variables say about the run.
func (vars variables) run() Run {
	switch p := vars.platform(); p {
	case GitHub:
		return Run{
			Platform:   p,
			ID:         vars["GITHUB_RUN_ID"],
			Number:     vars["GITHUB_RUN_NUMBER"],
			Attempt:    vars["GITHUB_RUN_ATTEMPT"],
			SHA:        vars["GITHUB_SHA"],
			Ref:        vars["GITHUB_REF_NAME"],
			Workflow:   vars["GITHUB_WORKFLOW"],
			Repository: vars["GITHUB_REPOSITORY"],
			// act, and the runners derived from it, run no post step of container actions.
			NoPostStep: vars["ACT"] == "true" || vars["GITEA_ACTIONS"] == "true" || vars["FORGEJO_ACTIONS"] == "true",
		}
	case GitLab:
		return Run{
			Platform:   p,
			ID:         vars["CI_PIPELINE_ID"],
			Number:     vars["CI_PIPELINE_IID"],
			SHA:        vars["CI_COMMIT_SHA"],
			Ref:        vars["CI_COMMIT_REF_NAME"],
			Workflow:   cmp.Or(vars["CI_PIPELINE_NAME"], vars["CI_JOB_NAME"]), // few pipelines have a name
			Repository: vars["CI_PROJECT_PATH"],
		}
	case Woodpecker:
		number := cmp.Or(vars["CI_PIPELINE_NUMBER"], vars["DRONE_BUILD_NUMBER"])
		return Run{
			Platform:   p,
			ID:         number, // it has no other ID
			Number:     number,
			SHA:        cmp.Or(vars["CI_COMMIT_SHA"], vars["DRONE_COMMIT_SHA"]),
			Ref:        cmp.Or(vars["CI_COMMIT_TAG"], vars["CI_COMMIT_BRANCH"], vars["DRONE_TAG"], vars["DRONE_BRANCH"]),
			Workflow:   vars["CI_WORKFLOW_NAME"],
			Repository: cmp.Or(vars["CI_REPO"], vars["DRONE_REPO"]),
		}
	default:
		return Run{}
	}
}
