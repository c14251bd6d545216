package config_test

import (
	"testing"

	"github.com/org/hsnap-action/internal/config"
)

func TestList(t *testing.T) {
	const (
		glob    = "is no valid glob"
		oneLine = "is no name, ID or glob: give one entry a line"
		exclude = "is no name, ID or glob: servers to leave out go into exclude"
		comment = "is no name, ID or glob: comments are not accepted"
		array   = `is no JSON array of strings: give one as ["db-1", "web-*"]`
	)
	check(t, "SERVERS", func(c config.Snapshot) config.List { return c.Servers }, []value[config.List]{
		{given: "web-1", want: config.List{"web-1"}},
		{given: "web-1,web-2", want: config.List{"web-1", "web-2"}},
		{given: " web-2 ,\n\tweb-1\r\n,,42 ", want: config.List{"web-2", "web-1", "42"}},
		{given: "a b a", want: config.List{"a", "b"}},
		{given: "db.example.com Bücher_1", want: config.List{"db.example.com", "Bücher_1"}},
		{given: "*", want: config.List{"*"}},
		{given: `web-* *-db ?-1 [a-c]-1 [^x] \*`, want: config.List{"web-*", "*-db", "?-1", "[a-c]-1", "[^x]", `\*`}},

		{given: `["web-1"]`, want: config.List{"web-1"}},
		{given: "[\"web-*\",\n \"42\", \"web-*\"]", want: config.List{"web-*", "42"}},
		{given: "[web]", want: config.List{"[web]"}},
		{given: "[1-3]", want: config.List{"[1-3]"}},
		{given: "[42]", mistake: array},
		{given: `["a", 42]`, mistake: array},
		{given: `["a", ["b"]]`, mistake: array},
		{given: `["a b"]`, mistake: `"a b" ` + oneLine},
		{given: `["a", ""]`, mistake: `"" ` + oneLine},
		{given: `["[z-a"]`, mistake: `"[z-a" ` + glob},
		{given: `["a"`, mistake: `"[\"a\"" ` + oneLine},
		{given: `["a"]*`, mistake: oneLine},

		{given: ",", mistake: "lists nothing"},
		{given: "[]", mistake: "lists nothing"},
		{given: "web-[", mistake: `"web-[" ` + glob},
		{given: "ok [z-a", mistake: `"[z-a" ` + glob},
		{given: "x[]", mistake: glob},
		{given: `x\`, mistake: glob},

		{given: "web-1 #comment", mistake: `"#comment" ` + comment},
		{given: "* !db-1", mistake: `"!db-1" ` + exclude},
		{given: "web-1 -db-1", mistake: `"-db-1" ` + exclude},
		{given: "- web-1\n- web-2", mistake: `"-" ` + oneLine},
		{given: "!", mistake: oneLine},
		{given: "'web-1'", mistake: `"'web-1'" ` + oneLine},
		{given: `"web-1"`, mistake: oneLine},
		{given: "web-{1,web-2", mistake: `"web-{1" ` + oneLine},
		{given: "web-1;web-2", mistake: oneLine},
		{given: "${SERVER}", mistake: oneLine},
	})
	// An output that names nothing excludes nothing.
	check(t, "EXCLUDE", func(c config.Snapshot) config.List { return c.Exclude }, []value[config.List]{
		{given: "[]", want: config.List{}},
		{given: ",", want: config.List{}},
		{given: "{web", mistake: oneLine},
	})
}
