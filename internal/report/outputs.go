package report

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/org/hsnap-action/internal/snapshot"
)

// output is one named value for the next step: always one line.
type output struct{ name, value string }

// entry is one server in the output "snapshots".
type entry struct {
	ServerID           *int64   `json:"server_id"`
	ServerName         string   `json:"server_name"`
	Status             string   `json:"status"`
	Reason             string   `json:"reason"`
	Message            string   `json:"message"`
	ImageID            *int64   `json:"image_id"`
	ActionID           *int64   `json:"action_id"`
	Description        string   `json:"description"`
	SizeGB             *float64 `json:"size_gb"`
	LockWaitSeconds    int64    `json:"lock_wait_seconds"`
	DurationSeconds    *int64   `json:"duration_seconds"`
	DowntimeSeconds    *int64   `json:"downtime_seconds"`
	PowerState         *string  `json:"power_state"`
	Protected          bool     `json:"protected"`
	Reused             bool     `json:"reused"`
	VolumesNotIncluded []int64  `json:"volumes_not_included"`
}

func (r *Report) entryOf(result snapshot.Result) entry {
	e := entry{
		ServerID: known(result.Server.ID), ServerName: r.text(result.Name), Status: string(result.Status), Reason: string(result.Reason),
		Message: r.text(r.account(result).join("; ")), ImageID: known(result.ImageID), ActionID: known(result.ActionID),
		Description: r.text(result.Description), SizeGB: known(result.SizeGB), LockWaitSeconds: seconds(result.LockWait),
		DowntimeSeconds: known(seconds(result.Downtime)), PowerState: known(result.PowerState), Protected: result.Protected,
		Reused: result.Reused, VolumesNotIncluded: append([]int64{}, result.Server.Volumes...),
	}
	if result.Accepted {
		took := seconds(result.Duration)
		e.DurationSeconds = &took
	}
	return e
}

// known returns nil, which JSON shows as null, for a value that is not known.
func known[T comparable](v T) *T {
	var zero T
	if v == zero {
		return nil
	}
	return &v
}

func seconds(d time.Duration) int64 { return int64(d.Round(time.Second) / time.Second) }

// Tally is a run's result in numbers and one word. The outputs and the exit code follow from it.
type Tally struct {
	Usable, Failed, Skipped int
	Result                  string // "success", "partial", "failure", "skipped" or "cancelled"
}

// TallyOf counts what became of the servers.
func TallyOf(o snapshot.Outcome) Tally {
	var t Tally
	planned := 0
	for _, r := range o.Results {
		if r.Usable() {
			t.Usable++
		}
		switch r.Status {
		case snapshot.Available, snapshot.Creating:
		case snapshot.Failed:
			t.Failed++
		case snapshot.Skipped:
			t.Skipped++
		case snapshot.Planned:
			planned++ // a dry run's result is what the real one's would be
		case snapshot.Cancelled:
		}
	}
	good := t.Usable + planned
	switch {
	case o.Signal != nil:
		t.Result = "cancelled"
	case o.Token != nil, o.Down != nil, o.Selector != nil, o.Nothing, t.Failed > 0 && good == 0:
		t.Result = "failure"
		if good > 0 {
			t.Result = "partial"
		}
	case t.Failed > 0:
		t.Result = "partial"
	case good > 0:
		t.Result = "success"
	default:
		t.Result = "skipped"
	}
	return t
}

// outputs returns every output, in the order in which users read about them.
func (r *Report) outputs(o snapshot.Outcome, t Tally) []output {
	images, imageIDs := map[string]int64{}, []int64{}
	failed, left, entries, deleted := []string{}, []string{}, []entry{}, []int64{}
	selected, only := 0, ""
	for _, result := range o.Results {
		entries = append(entries, r.entryOf(result))
		if result.Server.ID != 0 {
			selected++
		}
		if result.Usable() {
			images[r.text(result.Name)] = result.ImageID
			imageIDs = append(imageIDs, result.ImageID)
			only = strconv.FormatInt(result.ImageID, 10)
		}
		if result.Status == snapshot.Failed {
			failed = append(failed, r.text(result.Name))
		}
		for _, d := range result.Thinned {
			if d.Deleted {
				deleted = append(deleted, d.ID)
			}
		}
		if result.LeftOff {
			left = append(left, r.text(result.Name))
		}
	}
	if selected != 1 {
		only = ""
	}
	return []output{
		{"image-id", only},
		{"images", compact(images)},
		{"image-ids", compact(imageIDs)},
		{"snapshots", compact(entries)},
		{"result", t.Result},
		{"created-count", strconv.Itoa(t.Usable)},
		{"failed-count", strconv.Itoa(t.Failed)},
		{"skipped-count", strconv.Itoa(t.Skipped)},
		{"failed-servers", compact(failed)},
		{"servers-left-off", compact(left)},
		{"deleted-image-ids", compact(deleted)},
	}
}

// compact returns v as one line of JSON. The strings in it have to be clean, so that JSON needs no escape made of
// letters: six characters of the token that begin in one would be hidden, and the escape broken.
func compact(v any) string {
	var b strings.Builder
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		panic(fmt.Sprintf("report: an output can't be JSON: %v", err)) // all are made of strings and numbers
	}
	return strings.TrimSuffix(b.String(), "\n")
}

// OutputsTo says where the outputs go.
type OutputsTo struct {
	File    string // dotenv form; "" for none
	Summary bool
}

// Deliver writes the outputs, and the job summary where asked for. Where a file can't be written, the outputs are
// printed instead, and the error says which.
func (r *Report) Deliver(o snapshot.Outcome, to OutputsTo) error {
	t := TallyOf(o)
	list := r.outputs(o, t)
	for i := range list {
		list[i].value = r.o.Mask.Hide(list[i].value)
	}
	var problems []error
	if r.github {
		problems = append(problems, r.deliverGitHub(list))
	}
	if to.File != "" {
		problems = append(problems, r.deliverFile(list, to.File))
	}
	err := errors.Join(problems...)
	if err != nil || !r.github && to.File == "" {
		for _, out := range list {
			r.Line("%s=%s", out.name, plainJSON(out.value))
		}
	}
	if to.Summary && r.o.Getenv("GITHUB_STEP_SUMMARY") != "" {
		text := r.summary(o, t)
		if err := safely(func() { r.ci.AddStepSummary(text) }); err != nil {
			r.Warn(fmt.Sprintf("the job summary can't be written: %v", err))
		}
	}
	return err
}

func (r *Report) deliverGitHub(list []output) error {
	if r.o.Getenv("GITHUB_OUTPUT") == "" {
		return errors.New("GITHUB_OUTPUT is not set, so that the outputs can't be handed on; they are printed here")
	}
	for _, out := range list {
		if err := safely(func() { r.ci.SetOutput(out.name, out.value) }); err != nil {
			return fmt.Errorf("the outputs can't be written to GITHUB_OUTPUT, they are printed here: %w", err)
		}
	}
	return nil
}

// dotenvLimit is the most that GitLab reads of a dotenv report.
const dotenvLimit = 5000

// deliverFile writes the outputs in dotenv form, without the longest ones where they would not fit.
func (r *Report) deliverFile(list []output, file string) error {
	text, left := dotenv(list, dotenvLimit)
	if len(left) > 0 {
		r.Warn(fmt.Sprintf("%s leaves out %s, to stay under GitLab's limit of 5 KB", file, strings.Join(left, ", ")))
	}
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil { //nolint:gosec // the next job reads it as another user
		return fmt.Errorf("the output-file can't be written, the outputs are printed here: %w", err)
	}
	return nil
}

func dotenv(list []output, limit int) (text string, left []string) {
	spare := []string{"snapshots", "images", "image-ids", "failed-servers", "deleted-image-ids"}
	for {
		var b strings.Builder
		for _, out := range list {
			if !slices.Contains(left, out.name) {
				fmt.Fprintf(&b, "HSNAP_%s=%s\n", strings.ToUpper(strings.ReplaceAll(out.name, "-", "_")), out.value)
			}
		}
		if len(left) > 0 {
			b.WriteString("HSNAP_TRUNCATED=true\n")
		}
		if b.Len() <= limit || len(left) == len(spare) {
			return b.String(), left
		}
		left = spare[:len(left)+1]
	}
}

// plainJSON keeps a value that is printed from being taken for an old-style workflow command, without changing what
// it means as JSON.
func plainJSON(value string) string { return strings.ReplaceAll(value, "##[", `\u0023#[`) }

// safely turns the panics of go-githubactions' file commands into errors.
func safely(f func()) (err error) {
	defer func() {
		if p := recover(); p != nil {
			e, ok := p.(error)
			if !ok {
				panic(p)
			}
			err = e
		}
	}()
	f()
	return nil
}
