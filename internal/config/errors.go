package config

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// InputErrors are all the mistakes in the inputs of one run, those about
// unknown names first.
type InputErrors []InputError

// Error tells one mistake a line.
func (errs InputErrors) Error() string {
	lines := make([]string, len(errs))
	for i, e := range errs {
		lines[i] = e.Error()
	}
	return strings.Join(lines, "\n")
}

// InputError is one mistake in the inputs.
type InputError struct {
	// Name is the input as the user wrote it: lock-timeout in a workflow, but
	// HSNAP_LOCK_TIMEOUT where that variable was set.
	Name string
	// Value is the part of the value that is wrong, shortened if it is long. It
	// is empty where the value is not at fault or must not be shown.
	Value string
	// Problem tells what is wrong and what is accepted. It contains the value
	// neither quoted nor in part, beyond a hint made of a short number.
	Problem string
}

// Error implements error.
func (e InputError) Error() string {
	if e.Value == "" {
		return e.Name + " " + e.Problem
	}
	return fmt.Sprintf("%s: %s %s", e.Name, strconv.Quote(e.Value), e.Problem)
}

// refusal is what the decoders return: a value, or the part of it that is at
// fault, and why. The value is kept apart from the prose, so that there is one
// place where values are quoted, shortened and withheld.
type refusal struct{ value, problem string }

func (r *refusal) Error() string { return r.problem }

// refuse says why a value is not accepted. The problem follows the quoted value
// in a sentence: "30" has no unit.
func refuse(value, problem string) error {
	return &refusal{value: value, problem: problem}
}

// refusals takes apart what a decoder returned, which may be several errors
// joined, and which envconfig has wrapped.
func refusals(err error) []*refusal {
	if joined, ok := errors.AsType[interface {
		error
		Unwrap() []error
	}](err); ok {
		var all []*refusal
		for _, e := range joined.Unwrap() {
			all = append(all, refusals(e)...)
		}
		return all
	}
	if r, ok := errors.AsType[*refusal](err); ok {
		return []*refusal{r}
	}
	return nil
}

// shorten cuts a value that would fill the log. The limit is in characters.
func shorten(value string) string {
	const limit = 60
	n := 0
	for i := range value {
		if n == limit {
			return value[:i] + "…"
		}
		n++
	}
	return value
}
