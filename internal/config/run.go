package config

import (
	"reflect"
	"strings"
)

// Platform is the CI system that a run is a part of. It decides in which form the inputs are read.
type Platform string

// The platforms that are known by their variables.
const (
	Other      Platform = ""       // none of those below, or no CI at all
	GitHub     Platform = "github" // also Forgejo and Gitea, which set the same variables
	GitLab     Platform = "gitlab"
	Woodpecker Platform = "woodpecker" // also Drone, which it was forked from
)

// Run describes the CI run. A field's tags name the variables of each platform, of which the first that has a value
// counts. What a platform does not set is "".
type Run struct {
	Platform Platform

	// ID stays the same when the run is attempted again.
	ID string `github:"GITHUB_RUN_ID" gitlab:"CI_PIPELINE_ID" woodpecker:"CI_PIPELINE_NUMBER DRONE_BUILD_NUMBER"`
	// Number counts the runs of the workflow or repository.
	Number string `github:"GITHUB_RUN_NUMBER" gitlab:"CI_PIPELINE_IID" woodpecker:"CI_PIPELINE_NUMBER DRONE_BUILD_NUMBER"`
	// Attempt is "1" for the first; GitHub only.
	Attempt string `github:"GITHUB_RUN_ATTEMPT"`
	// SHA is the commit, all 40 digits.
	SHA string `github:"GITHUB_SHA" gitlab:"CI_COMMIT_SHA" woodpecker:"CI_COMMIT_SHA DRONE_COMMIT_SHA"`
	// Ref is the branch or tag, without refs/heads/.
	Ref string `github:"GITHUB_REF_NAME" gitlab:"CI_COMMIT_REF_NAME" woodpecker:"CI_COMMIT_TAG CI_COMMIT_BRANCH DRONE_TAG DRONE_BRANCH"`
	// Workflow is its name. Few of GitLab's pipelines have one.
	Workflow string `github:"GITHUB_WORKFLOW" gitlab:"CI_PIPELINE_NAME CI_JOB_NAME" woodpecker:"CI_WORKFLOW_NAME"`
	// Repository has its owner or group before it: org/shop.
	Repository string `github:"GITHUB_REPOSITORY" gitlab:"CI_PROJECT_PATH" woodpecker:"CI_REPO DRONE_REPO"`

	NoPostStep bool // nothing that helps runs after the action's own step, whatever action.yml says
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
	run := Run{Platform: vars.platform()}
	for field, value := range reflect.ValueOf(&run).Elem().Fields() {
		for name := range strings.FieldsSeq(field.Tag.Get(string(run.Platform))) {
			if value.Len() == 0 {
				value.SetString(vars[name])
			}
		}
	}
	if run.Platform == GitHub { // act runs the post step of a container action without its state, runners made from it not always
		run.NoPostStep = vars["ACT"] == "true" || vars["GITEA_ACTIONS"] == "true" || vars["FORGEJO_ACTIONS"] == "true"
	}
	return run
}
