package config_test

import (
	"bytes"
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/org/hsnap-action/internal/config"
)

var update = flag.Bool("update", false, "rewrite each action.yml, README.md, the component and the help from the commands' settings")

// root is where action.yml and README.md are.
const root = "../.."

// manifestOf is the action.yml of a command: the first one's is the repository's own.
func manifestOf(i int, name string) string {
	if i == 0 {
		return filepath.Join(root, "action.yml")
	}
	return filepath.Join(root, name, "action.yml")
}

// TestDocs compares every place that describes inputs and outputs with the source: the fields of the settings, and the
// lists of outputs.
func TestDocs(t *testing.T) {
	readme := filepath.Join(root, "README.md")
	for i, command := range config.Commands() {
		inputs, outputs := readInputs(t, command), command.Settings.Outputs()

		manifest, of := manifestOf(i, command.Name), command.Name+" "
		if i == 0 {
			of = ""
		}
		hold(t, manifest, block(t, manifest, "# inputs", "# /inputs", manifestInputs(inputs)))
		hold(t, manifest, block(t, manifest, "# outputs", "# /outputs", manifestOutputs(outputs)))
		page, table := filepath.Join(root, "docs", "reference.md"), readmeInputs(inputs)
		if i == 0 {
			page, table = readme, readmeGroups(t, inputs)
		}
		hold(t, page, block(t, page, "<!-- "+of+"inputs -->", "<!-- /"+of+"inputs -->", table))
		hold(t, page, block(t, page, "<!-- "+of+"outputs -->", "<!-- /"+of+"outputs -->", readmeOutputs(outputs)))
		hold(t, filepath.Join("help", command.Name+".txt"), help(command.Name, inputs, outputs))
	}

	hold(t, readme, block(t, readme, "<!-- commands -->", "<!-- /commands -->", readmeCommands(t)))

	inputs := readInputs(t, config.Commands()[0])
	component := filepath.Join(root, "templates", "snapshot.yml")
	hold(t, component, block(t, component, "# inputs", "# /inputs", componentInputs(inputs)))
	hold(t, component, block(t, component, "# variables", "# /variables", componentVariables(inputs)))
}

// TestManifestRuns holds what the runner is told beside inputs and outputs. All commands are one image.
func TestManifestRuns(t *testing.T) {
	for i, command := range config.Commands() {
		text, err := os.ReadFile(manifestOf(i, command.Name))
		if err != nil {
			t.Fatal(err)
		}
		parts := []string{"\ndescription: " + command.Purpose + "\n", "\nbranding:\n  icon: camera\n  color: red\n"}
		post := strings.Contains(string(text), "\n  post-entrypoint: /hsnap-post\n  post-if: always()\n")
		if want := slices.Contains([]string{"snapshot", "verify"}, command.Name); post != want { // what they do may have to be undone
			t.Errorf("action.yml of %s has a post step: %v, want %v", command.Name, post, want)
		}
		if i == 0 {
			parts = append(parts, "\nruns:\n  using: docker\n  image: Dockerfile\n")
		} else {
			parts = append(parts, "\nruns:\n  using: docker\n  image: ../Dockerfile\n  args: ["+command.Name+"]\n")
		}
		for _, part := range parts {
			if !strings.Contains(string(text), part) {
				t.Errorf("action.yml of %s lacks %q", command.Name, part)
			}
		}
	}
}

// TestDocsDefaults holds the defaults, choices and variables in the prose to those in the tags.
func TestDocsDefaults(t *testing.T) {
	for _, command := range config.Commands() {
		for _, in := range readInputs(t, command) {
			if got := strings.Count(in.prose, "Defaults to"); in.value == "" && got != 0 {
				t.Errorf("%s: the prose names a default, the tag has none", in.name)
			}
			if want := "Defaults to `" + in.value + "`."; in.value != "" && !strings.HasSuffix(in.prose, want) {
				t.Errorf("%s: the prose must end in %q", in.name, want)
			}
			if len(in.choices) > 0 && in.value != "" && !slices.Contains(in.choices, in.value) {
				t.Errorf("%s: the default %q is not accepted", in.name, in.value)
			}
			for _, choice := range in.choices {
				if !strings.Contains(in.prose, "`"+choice+"`") {
					t.Errorf("%s: the prose does not name the choice %s", in.name, choice)
				}
			}
			if in.fallback != "" && !strings.Contains(in.prose, "`"+in.fallback+"`") {
				t.Errorf("%s: the prose does not name the variable %s", in.name, in.fallback)
			}
		}
	}
}

// TestDocsProse holds the prose to sentences, and to what a Markdown table and an action.yml can hold.
func TestDocsProse(t *testing.T) {
	prose := make(map[string]string)
	for _, command := range config.Commands() {
		prose[command.Name] = command.Purpose
		for _, in := range readInputs(t, command) {
			prose[command.Name+" "+in.name] = in.prose
		}
		for _, out := range command.Settings.Outputs() {
			prose[command.Name+" output "+out.Name] = out.Prose
		}
	}
	for name, text := range prose {
		switch {
		case !strings.HasSuffix(text, "."):
			t.Errorf("%s: %q is no full sentence", name, text)
		case strings.ContainsAny(text, "|\n"):
			t.Errorf("%s: %q does not fit into a table", name, text)
		case strings.Contains(text, "${{"):
			t.Errorf("%s: GitHub would evaluate the expression in %q", name, text)
		case strings.Count(text, "`")%2 != 0:
			t.Errorf("%s: a backtick is missing in %q", name, text)
		}
	}
}

// everywhere are the inputs that mean the same for every command.
var everywhere = []string{"hcloud-token", "api-endpoint", "dry-run", "summary", "output-file"}

// required are the inputs that must be given for each command, on GitHub.
var required = map[string][]string{
	"snapshot": {"INPUT_SERVERS=web-1"},
	"restore":  {"INPUT_IMAGES=db-1=123"},
	"verify":   {"INPUT_SERVERS=web-1"},
	"prune":    {"INPUT_SERVERS=web-1", "INPUT_SERIES=nightly", "INPUT_KEEP-LAST=3"},
	"audit":    nil,
}

// TestManifestDefaults gives the program what the runner gives it when a workflow sets nothing but what must be set:
// every input with its default from action.yml, the others empty. It must amount to the program's own defaults.
func TestManifestDefaults(t *testing.T) {
	for i, command := range config.Commands() {
		words := []string{command.Name}
		given := append([]string{"GITHUB_ACTIONS=true", "HCLOUD_TOKEN=secret"}, required[command.Name]...)
		want, err := config.Load(words, given)
		if err != nil {
			t.Fatal(err)
		}

		defaults := manifestDefaults(t, manifestOf(i, command.Name))
		inputs := readInputs(t, command)
		env := given
		for _, in := range inputs {
			value, ok := defaults[in.name]
			if !ok {
				t.Errorf("%s is not in action.yml of %s", in.name, command.Name)
			}
			env = append(env, "INPUT_"+strings.ToUpper(in.name)+"="+value)
		}
		if len(defaults) != len(inputs) {
			t.Errorf("action.yml of %s has %d inputs, its settings have %d", command.Name, len(defaults), len(inputs))
		}
		got, err := config.Load(words, env)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got, prefixes); diff != "" {
			t.Errorf("%s: defaults of the program (-) and of action.yml (+):\n%s", command.Name, diff)
		}
	}
}

// inputDoc is what a field of settings says about an input.
type inputDoc struct {
	name, value, prose string // value is the default
	kind               string // the field's type
	fallback           string
	choices            []string
	inManifest         bool // whether action.yml sets the default
}

// readInputs reads the source of a command's settings, for reflection knows no comments.
func readInputs(t *testing.T, command config.Command) []inputDoc {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), "config.go", nil, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	structs := make(map[string]*ast.StructType)
	ast.Inspect(file, func(n ast.Node) bool {
		if spec, ok := n.(*ast.TypeSpec); ok {
			structs[spec.Name.Name], _ = spec.Type.(*ast.StructType)
		}
		return true
	})
	inputs := inputsIn(t, structs, reflect.TypeOf(command.Settings).Elem().Name())
	if len(inputs) == 0 {
		t.Fatalf("config.go has no inputs of %s", command.Name)
	}
	return inputs
}

// inputsIn returns the inputs of a struct, with those of the structs that it embeds.
func inputsIn(t *testing.T, structs map[string]*ast.StructType, name string) (inputs []inputDoc) {
	t.Helper()
	for _, field := range structs[name].Fields.List {
		if field.Names == nil {
			inputs = append(inputs, inputsIn(t, structs, field.Type.(*ast.Ident).Name)...)
		}
		if field.Tag == nil {
			continue
		}
		literal, err := strconv.Unquote(field.Tag.Value)
		if err != nil {
			t.Fatal(err)
		}
		tag := reflect.StructTag(literal)
		key, options, _ := strings.Cut(tag.Get("env"), ",")
		inputs = append(inputs, inputDoc{
			name:       strings.ToLower(strings.ReplaceAll(key, "_", "-")),
			value:      strings.TrimPrefix(options, "default="),
			prose:      strings.Join(strings.Fields(field.Doc.Text()), " "),
			kind:       field.Type.(*ast.Ident).Name,
			fallback:   tag.Get("fallback"),
			choices:    strings.Fields(tag.Get("oneof")),
			inManifest: tag.Get("manifest") != "no-default",
		})
	}
	return inputs
}

func manifestInputs(inputs []inputDoc) string {
	var b strings.Builder
	for _, in := range inputs {
		manifestEntry(&b, in.name, in.prose)
		if in.value != "" && in.inManifest {
			fmt.Fprintf(&b, "    default: %q\n", in.value)
		}
	}
	return b.String()
}

func manifestOutputs(outputs []config.Output) string {
	var b strings.Builder
	for _, out := range outputs {
		manifestEntry(&b, out.Name, out.Prose)
	}
	return b.String()
}

// notInComponent are the inputs that make no sense in GitLab's component: its token comes from a variable, it has no
// job summary, and the file of its outputs is a matter between it and GitLab.
var notInComponent = []string{"hcloud-token", "summary", "output-file"}

func componentInputs(inputs []inputDoc) string {
	var b strings.Builder
	for _, in := range inputs {
		if slices.Contains(notInComponent, in.name) {
			continue
		}
		fmt.Fprintf(&b, "    %s:\n      description: >-\n", in.name)
		wrap(&b, in.prose, "        ", 100)
		value := in.value
		if !in.inManifest {
			value = ""
		}
		fmt.Fprintf(&b, "      default: %q\n", value)
	}
	return b.String()
}

func componentVariables(inputs []inputDoc) string {
	var b strings.Builder
	for _, in := range inputs {
		if !slices.Contains(notInComponent, in.name) {
			fmt.Fprintf(&b, "    HSNAP_%s: '$[[ inputs.%s ]]'\n", strings.ToUpper(strings.ReplaceAll(in.name, "-", "_")), in.name)
		}
	}
	return b.String()
}

// manifestEntry writes the prose as a folded scalar, in which nothing needs to be quoted.
func manifestEntry(b *strings.Builder, name, prose string) {
	fmt.Fprintf(b, "  %s:\n    description: >-\n", name)
	wrap(b, prose, "      ", 100)
}

// manifestDefaults reads the inputs of an action.yml and their defaults, "" where there is none. It knows the shape that
// manifestInputs writes, and no other.
func manifestDefaults(t *testing.T, file string) map[string]string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	_, text, _ = bytes.Cut(text, []byte("\ninputs:\n"))
	text, _, _ = bytes.Cut(text, []byte("\noutputs:\n"))

	defaults := make(map[string]string)
	var name string
	for line := range strings.Lines(string(text)) {
		line = strings.TrimRight(line, "\n")
		entry := strings.TrimPrefix(line, "  ")
		if key, ok := strings.CutSuffix(entry, ":"); ok && !strings.HasPrefix(entry, " ") && !strings.HasPrefix(entry, "#") {
			name = key
			defaults[name] = ""
		}
		if value, ok := strings.CutPrefix(line, "    default: "); ok {
			if defaults[name], err = strconv.Unquote(value); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
		}
	}
	return defaults
}

func readmeCommands(t *testing.T) string {
	t.Helper()
	var b strings.Builder
	b.WriteString("| Command | What it does | Inputs of its own | Outputs |\n|---|---|---|---|\n")
	for i, command := range config.Commands() {
		action := "org/hsnap-action"
		if i > 0 {
			action += "/" + command.Name
		}
		var inputs, outputs []string
		for _, in := range readInputs(t, command) {
			if !slices.Contains(everywhere, in.name) && !strings.HasPrefix(in.name, "keep-") {
				inputs = append(inputs, "`"+in.name+"`")
			} else if in.name == "keep-last" {
				inputs = append(inputs, "`keep-*`")
			}
		}
		for _, out := range command.Settings.Outputs() {
			outputs = append(outputs, "`"+out.Name+"`")
		}
		name := fmt.Sprintf("[%s](docs/%[1]s.md)<br>`%s@v1`", command.Name, action)
		if i == 0 {
			name = fmt.Sprintf("%s<br>`%s@v1`", command.Name, action)
			inputs, outputs = []string{"[below](#inputs)"}, []string{"[below](#outputs)"}
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", name, command.Purpose, strings.Join(inputs, " "), strings.Join(outputs, " "))
	}
	return b.String()
}

// groups are the inputs of snapshot by concern, as the README folds them. The first group is what most workflows need.
var groups = []struct{ title, inputs string }{
	{"", "hcloud-token servers label-selector series keep-last lock-timeout"},
	{"Which servers, and how long to wait", "exclude if-no-servers-found if-volumes-attached if-locked snapshot-timeout wait max-parallel"},
	{"The snapshots, and which of them are kept", "description labels copy-server-labels protect on-rerun reuse-within " +
		"keep-hourly keep-daily keep-weekly keep-monthly keep-yearly keep-within"},
	{"Switching servers off for a consistent disk", "shutdown shutdown-timeout max-unavailable settle-time"},
	{"The run itself", "dry-run summary output-file api-endpoint"},
}

// readmeGroups is a table for each group, all but the first one folded.
func readmeGroups(t *testing.T, inputs []inputDoc) string {
	t.Helper()
	var b strings.Builder
	left := len(inputs)
	for _, group := range groups {
		var some []inputDoc
		for name := range strings.FieldsSeq(group.inputs) {
			i := slices.IndexFunc(inputs, func(in inputDoc) bool { return in.name == name })
			if i < 0 {
				t.Fatalf("there is no input %s", name)
			}
			some = append(some, inputs[i])
		}
		left -= len(some)
		if group.title == "" {
			b.WriteString(readmeInputs(some) + "\n")
			continue
		}
		fmt.Fprintf(&b, "<details><summary>%s</summary>\n\n%s</details>\n", group.title, readmeInputs(some))
	}
	if left != 0 {
		t.Errorf("%d inputs of snapshot are in no group of the README", left)
	}
	return b.String()
}

// kinds are what the README calls the types of settings. The others are strings to whoever writes a workflow.
var kinds = map[string]string{
	"Bool": "Bool", "Count": "Number", "Parallel": "Number", "Amount": "Number", "Duration": "Duration", "Span": "Duration",
	"Pause": "Duration", "List": "List", "Labels": "List", "Images": "List", "Networks": "List",
}

func readmeInputs(inputs []inputDoc) string {
	var b strings.Builder
	b.WriteString("| Input | Type | Default | Meaning |\n|---|---|---|---|\n")
	for _, in := range inputs {
		var value string
		if in.value != "" {
			value = "`" + in.value + "`"
		}
		kind, ok := kinds[in.kind]
		if !ok {
			kind = "String"
		}
		// The default has a column of its own here.
		prose := strings.TrimSpace(strings.TrimSuffix(in.prose, "Defaults to "+value+"."))
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", in.name, kind, value, prose)
	}
	return b.String()
}

func readmeOutputs(outputs []config.Output) string {
	var b strings.Builder
	b.WriteString("| Output | Value |\n|---|---|\n")
	for _, out := range outputs {
		fmt.Fprintf(&b, "| `%s` | %s |\n", out.Name, out.Prose)
	}
	return b.String()
}

func help(of string, inputs []inputDoc, outputs []config.Output) string {
	var b strings.Builder
	entry := func(name, prose string) {
		fmt.Fprintf(&b, "\n  %s\n", name)
		wrap(&b, strings.ReplaceAll(prose, "`", ""), "      ", 80)
	}
	b.WriteString("Commands, each with inputs and outputs of its own (hsnap-action COMMAND --help):\n")
	for _, command := range config.Commands() {
		entry(command.Name, command.Purpose)
	}
	fmt.Fprintf(&b, "\nInputs of %s:\n", of)
	for _, in := range inputs {
		entry(in.name, in.prose)
	}
	fmt.Fprintf(&b, "\nOutputs of %s:\n", of)
	for _, out := range outputs {
		entry(out.Name, out.Prose)
	}
	return b.String()
}

// wrap writes text in lines of at most width characters, where its words allow.
func wrap(b *strings.Builder, text, indent string, width int) {
	column := 0
	for _, word := range strings.Fields(text) {
		n := len([]rune(word))
		switch {
		case column == 0:
			b.WriteString(indent)
			column = len(indent)
		case column+1+n > width:
			b.WriteString("\n" + indent)
			column = len(indent)
		default:
			b.WriteByte(' ')
			column++
		}
		b.WriteString(word)
		column += n
	}
	b.WriteByte('\n')
}

// block returns the text of the file with what stands between the lines of the two markers replaced.
func block(t *testing.T, file, begin, end, content string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.SplitAfter(string(text), "\n")
	first, last := -1, -1
	for i, line := range lines {
		switch strings.TrimSpace(line) {
		case begin:
			first = i
		case end:
			last = i
		}
	}
	if first < 0 || last < first {
		t.Fatalf("%s: there are no lines %q and %q", file, begin, end)
	}
	return strings.Join(lines[:first+1], "") + content + strings.Join(lines[last:], "")
}

// hold compares the file with what it should be, or makes it so.
func hold(t *testing.T, file, want string) {
	t.Helper()
	got, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) == want {
		return
	}
	if *update {
		if err := os.WriteFile(file, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	t.Errorf("%s is not up to date, run: go test ./internal/config -run Docs -update\n%s", file, cmp.Diff(string(got), want))
}
