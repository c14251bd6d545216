package report

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"reflect"
	"slices"
	"strings"
)

// output is one named value for the next step: text, or what is shown as JSON. Text in it is fit to be shown.
type output struct {
	name  string
	value any
	spare int // when it makes way in a file of limited size, 1 first; 0 for never
}

// text is the value in one line.
func (o output) text() string {
	if text, ok := o.value.(string); ok {
		return text
	}
	return compact(o.value)
}

// OutputsTo says where the outputs go.
type OutputsTo struct {
	File    string // dotenv form; "" for none
	Input   string // what the user calls the input that names it
	Summary bool
}

// destination is a file that the outputs go to.
type destination struct {
	name, file string
	write      func([]output) error
}

// OpenOutputs opens the files for the outputs and closes them again, so that a run whose outputs would be lost fails before
// it has sent anything. What a file holds stays until the end.
func (r *Report) OpenOutputs(to OutputsTo) error {
	var all []destination
	var errs []error
	if r.github {
		all = append(all, destination{"GITHUB_OUTPUT", r.o.Getenv("GITHUB_OUTPUT"), r.writeGitHub})
	}
	if to.File != "" {
		all = append(all, destination{to.Input, to.File, func(list []output) error { return r.writeDotenv(list, to.File) }})
	}
	for _, d := range all {
		if err := d.open(); err != nil {
			errs = append(errs, err)
			continue
		}
		r.destinations = append(r.destinations, d)
	}
	r.printed = len(errs) > 0 || len(all) == 0
	r.summarised = to.Summary && r.o.Getenv("GITHUB_STEP_SUMMARY") != ""
	return errors.Join(errs...)
}

func (d destination) open() error {
	if d.file == "" {
		return fmt.Errorf("%s is not set, the outputs are printed instead: leave GITHUB_ACTIONS unset where no runner sets both", d.name)
	}
	if info, err := os.Stat(d.file); err == nil && !info.Mode().IsRegular() && !info.IsDir() {
		return nil // the reader of a pipe takes its first close for the end
	}
	f, err := os.OpenFile(d.file, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644) //nolint:gosec // the next job reads it as another user
	if err != nil {
		return d.failed(err)
	}
	return f.Close()
}

// failed says that the outputs can't be written to a file.
func (d destination) failed(err error) error {
	if in, ok := errors.AsType[*fs.PathError](err); ok {
		err = in.Err
	}
	return fmt.Errorf("%s: %.60q can't be written, the outputs are printed instead: %w", d.name, d.file, err)
}

// deliver writes the outputs, and the job summary where asked for. Where a file can't be written any more, it says so,
// prints the outputs instead, and returns false.
func (r *Report) deliver(list []output, summary func() string) (delivered bool) {
	for i := range list {
		list[i].value = r.o.Mask.Hide(list[i].text())
	}
	delivered = true
	for _, d := range r.destinations {
		if err := d.write(list); err != nil {
			r.Error(d.failed(err).Error())
			delivered = false
		}
	}
	if r.printed || !delivered {
		for _, out := range list {
			r.log.print(out.name + "=" + plainJSON(out.text()))
		}
	}
	if r.summarised {
		text := summary()
		if err := safely(func() { r.ci.AddStepSummary(text) }); err != nil {
			r.Warn(fmt.Sprintf("the job summary can't be written: %v", err))
		}
	}
	return delivered
}

func (r *Report) writeGitHub(list []output) error {
	return safely(func() {
		for _, out := range list {
			r.ci.SetOutput(out.name, out.text())
		}
	})
}

// dotenvLimit is the most that GitLab reads of a dotenv report.
const dotenvLimit = 5000

// writeDotenv writes the outputs in dotenv form, without those that have to make way for the others.
func (r *Report) writeDotenv(list []output, file string) error {
	text, left := dotenv(list, dotenvLimit)
	if len(left) > 0 {
		r.Warn(fmt.Sprintf("%s leaves out %s, to stay under GitLab's limit of 5 KB", file, strings.Join(left, ", ")))
	}
	return os.WriteFile(file, []byte(text), 0o644) //nolint:gosec // the next job reads it as another user
}

func dotenv(list []output, limit int) (text string, left []string) {
	for next := 1; ; next++ {
		text = only(left != nil, "HSNAP_TRUNCATED=true\n")
		for _, out := range list {
			text += fmt.Sprintf("HSNAP_%s=%s\n", strings.ToUpper(strings.ReplaceAll(out.name, "-", "_")), out.text())
		}
		i := slices.IndexFunc(list, func(out output) bool { return out.spare == next })
		if len(text) <= limit || i < 0 {
			return text, left
		}
		left = append(left, list[i].name)
		list = slices.Delete(slices.Clone(list), i, i+1)
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

// object is a JSON object of keys, each with its value. Text among the values is made fit to be shown.
func (r *Report) object(pairs ...any) json.RawMessage {
	var fields []string
	for pair := range slices.Chunk(pairs, 2) {
		value := pair[1]
		if v := reflect.ValueOf(value); v.Kind() == reflect.String {
			value = r.text(v.String())
		}
		fields = append(fields, compact(pair[0])+":"+compact(value))
	}
	return json.RawMessage("{" + strings.Join(fields, ",") + "}")
}

// known returns nil, which JSON shows as null, for a value that is not known.
func known[T comparable](v T) *T {
	var zero T
	return where(v != zero, v)
}

// where returns nil, which JSON shows as null, unless the condition holds.
func where[T any](condition bool, v T) *T {
	if condition {
		return &v
	}
	return nil
}

// plainJSON keeps a value that is printed from being taken for an old-style workflow command, without changing what
// it means as JSON.
func plainJSON(value string) string { return strings.ReplaceAll(value, "##[", `\u0023#[`) }

// safely turns the panics of go-githubactions' file commands into errors.
func safely(f func()) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%v", p)
		}
	}()
	f()
	return nil
}
