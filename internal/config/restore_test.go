package config_test

import (
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/org/hsnap-action/internal/config"
)

// readRestore returns the settings of the command restore off any CI system, with a token.
func readRestore(vars ...string) (config.Restore, error) {
	cfg, err := config.Load([]string{"restore"}, append(vars, "HCLOUD_TOKEN=t0ken"))
	return *cfg.(*config.Restore), err
}

func TestRestore(t *testing.T) {
	got, err := readRestore("HSNAP_IMAGES=db-1=123")
	if err != nil {
		t.Fatal(err)
	}
	want := config.Restore{
		Access:            config.Access{Token: "t0ken", APIEndpoint: "https://api.hetzner.cloud/v1"},
		Images:            config.Images{"db-1": {Image: 123}},
		MaxAge:            config.Duration(24 * time.Hour),
		SnapshotFirst:     true,
		LockTimeout:       config.Duration(30 * time.Minute),
		RestoreTimeout:    config.Duration(90 * time.Minute),
		BootTimeout:       config.Duration(10 * time.Minute),
		IfVolumesAttached: "warn",
		MaxParallel:       10,
		Common:            config.Common{Summary: true},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}

	got, err = readRestore("HSNAP_IMAGES=db-1=latest-verified", "HSNAP_SERIES=nightly", "HSNAP_MAX_AGE=90m", "HSNAP_SNAPSHOT_FIRST=false",
		"HSNAP_PROVE=ssh:2222", "HSNAP_LOCK_TIMEOUT=1m", "HSNAP_RESTORE_TIMEOUT=2h", "HSNAP_BOOT_TIMEOUT=3m", "HSNAP_IF_VOLUMES_ATTACHED=fail",
		"HSNAP_MAX_PARALLEL=1", "HSNAP_DRY_RUN=true", "HSNAP_SUMMARY=false", "HSNAP_OUTPUT_FILE=out.env", "HSNAP_API_ENDPOINT=http://[::1]/v1")
	if err != nil {
		t.Fatal(err)
	}
	want = config.Restore{
		Access:            config.Access{Token: "t0ken", APIEndpoint: "http://[::1]/v1"},
		Images:            config.Images{"db-1": {OnlyIfVerified: true}},
		Series:            "nightly",
		MaxAge:            config.Duration(90 * time.Minute),
		Prove:             config.Proof{SSH: true, Port: 2222},
		LockTimeout:       config.Duration(time.Minute),
		RestoreTimeout:    config.Duration(2 * time.Hour),
		BootTimeout:       config.Duration(3 * time.Minute),
		IfVolumesAttached: "fail",
		MaxParallel:       1,
		Common:            config.Common{DryRun: true, OutputFile: "out.env"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// A disk is overwritten for what the inputs say, so nothing is left to a guess.
func TestRestoreMistakes(t *testing.T) {
	for _, tt := range []struct{ vars, want []string }{
		{nil, []string{"HSNAP_IMAGES is missing: name each server and its image, as db-1=123 or db-1=latest"}},
		{[]string{"HSNAP_IMAGES= "}, []string{"HSNAP_IMAGES is missing: name each server and its image, as db-1=123 or db-1=latest"}},
		{[]string{"HSNAP_IMAGES=db-1=123", "HSNAP_SERIES=nightly"}, nil},
		{[]string{"HSNAP_IMAGES=db-1=123,db-2=latest", "HSNAP_SERIES=nightly"}, nil},
		{
			[]string{"HSNAP_IMAGES=db-1=123,db-2=latest"},
			[]string{"HSNAP_IMAGES has latest or latest-verified, which needs HSNAP_SERIES: name the one to look in, as series: nightly"},
		},
		{
			[]string{"HSNAP_IMAGES=db-2=latest,db-1=latest-verified"},
			[]string{"HSNAP_IMAGES has latest or latest-verified, which needs HSNAP_SERIES: name the one to look in, as series: nightly"},
		},
		{
			[]string{"HSNAP_IMAGES=db-1=latest", "HSNAP_SERIES=a/b"},
			[]string{`HSNAP_SERIES: "a/b" is no name of a series: give up to 63 letters, digits, -, _ and ., with a letter or digit at both ends`},
		},
		{
			[]string{"HSNAP_IMAGES=web-*=1, db-1=newest, db-1=2", "HSNAP_MAX_AGE=24", "HSNAP_PROVE=tcp"},
			[]string{
				`HSNAP_IMAGES: "web-*" is no name of a server: globs are not accepted here, name each server`,
				`HSNAP_IMAGES: "newest" is no image for "db-1": accepted are an image's ID, latest and latest-verified`,
				`HSNAP_IMAGES: "db-1" is given twice: a server can have one image here`,
				`HSNAP_MAX_AGE: "24" has no unit: did you mean 24m or 24s?`,
				`HSNAP_PROVE: "tcp" is no proof: accepted are running, ssh, ssh:PORT and tcp:PORT, with a port from 1 to 65535`,
			},
		},
	} {
		var got []string
		if _, err := readRestore(tt.vars...); err != nil {
			got = strings.Split(err.Error(), "\n")
		}
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%q:\n%s", tt.vars, diff)
		}
	}
}

func TestImages(t *testing.T) {
	id := func(n int64) config.ImageChoice { return config.ImageChoice{Image: n} }
	latest, verified := config.ImageChoice{}, config.ImageChoice{OnlyIfVerified: true}
	for given, want := range map[string]config.Images{
		"db-1=123":                               {"db-1": id(123)},
		"db-1=123\ndb-2=456\n":                   {"db-1": id(123), "db-2": id(456)},
		" db-1 = 123 ,\r\n, db-2=latest,":        {"db-1": id(123), "db-2": latest},
		"db-1=latest-verified":                   {"db-1": verified},
		"web.example.com=9223372036854775807":    {"web.example.com": id(9223372036854775807)},
		"42=7":                                   {"42": id(7)}, // a name: there are no IDs here
		"db-1=7,db-2=7":                          {"db-1": id(7), "db-2": id(7)},
		`{"db-1":123,"web-1":456}`:               {"db-1": id(123), "web-1": id(456)}, // as the output images has it
		`{"db-1": "123", "db-2": "latest"}`:      {"db-1": id(123), "db-2": latest},
		"{\n\"db-1\": \"latest-verified\"\n}":    {"db-1": verified},
		`{"\u0064b-1": 1, "42": 2, "DB-1": "3"}`: {"db-1": id(1), "42": id(2), "DB-1": id(3)},
	} {
		cfg, err := readRestore("HSNAP_SERIES=nightly", "HSNAP_IMAGES="+given)
		if diff := cmp.Diff(want, cfg.Images); err != nil || diff != "" {
			t.Errorf("%q: %v\n%s", given, err, diff)
		}
	}
}

func TestImagesMistakes(t *testing.T) {
	const (
		rule     = "accepted are an image's ID, latest and latest-verified"
		noServer = "names no server: name each with its image, as db-1=123 or db-1=latest"
		noPair   = "is no server with its image: give db-1=123, separated by commas or newlines, or a JSON object"
		noName   = "is no name of a server: give db-1=123, without comments, quotation marks, or dashes before it"
		glob     = "is no name of a server: globs are not accepted here, name each server"
		noImage  = `is no image for "db-1": ` + rule
		twice    = `"db-1" is given twice: a server can have one image here`
		noJSON   = `is no JSON object of images: give one as {"db-1": 123, "db-2": "latest"}`
		noValue  = `"db-1" has a value that is no number and no string: ` + rule
	)
	for given, want := range map[string]string{ // the only mistake
		",": `"," ` + noServer, ",,\n,": `",,\n," ` + noServer, "{}": `"{}" ` + noServer, "{ }": `"{ }" ` + noServer,

		"db-1": `"db-1" ` + noPair, "123": `"123" ` + noPair, "latest": `"latest" ` + noPair, "db-1: 123": `"db-1: 123" ` + noPair,
		"db-1=1,db-2": `"db-2" ` + noPair, `["db-1"]`: `"[\"db-1\"]" ` + noPair,

		"web-*=1": `"web-*" ` + glob, "*=1": `"*" ` + glob, "db-[12]=1": `"db-[12]" ` + glob, "db-?=1": `"db-?" ` + glob,
		`db\1=1`: `"db\\1" ` + glob, `{"web-*": 1}`: `"web-*" ` + glob,

		"=1": `"" ` + noName, "# db-1=1": `"# db-1" ` + noName, "#db-1=1": `"#db-1" ` + noName, "- db-1=1": `"- db-1" ` + noName,
		"!db-1=1": `"!db-1" ` + noName, "-db-1=1": `"-db-1" ` + noName, `"db-1"=1`: `"\"db-1\"" ` + noName, "db 1=1": `"db 1" ` + noName,
		"a/b=1": `"a/b" ` + noName, "db-1\x00=1": `"db-1\x00" ` + noName, `{"": 1}`: `"" ` + noName, `{" db-1": 1}`: `" db-1" ` + noName,
		`{"db-1=2": 1}`: `"db-1=2" ` + noName, `{"db-1,x": 1}`: `"db-1,x" ` + noName,

		"db-1=0": `"0" ` + noImage, "db-1=-5": `"-5" ` + noImage, "db-1=+5": `"+5" ` + noImage, "db-1=1.5": `"1.5" ` + noImage,
		"db-1=1e3": `"1e3" ` + noImage, "db-1=0x10": `"0x10" ` + noImage, "db-1=007": `"007" ` + noImage, "db-1=1_000": `"1_000" ` + noImage,
		"db-1=9223372036854775808": `"9223372036854775808" ` + noImage, "db-1=#5": `"#5" ` + noImage, "db-1==5": `"=5" ` + noImage,
		"db-1=ubuntu": `"ubuntu" ` + noImage, "db-1=newest": `"newest" ` + noImage,
		"db-1=lates":           `"lates" ` + noImage,
		"db-1=Latest":          `"Latest" ` + noImage,
		"db-1=latest_verified": `"latest_verified" ` + noImage,
		"db-1=verified":        `"verified" ` + noImage,
		"db-1=":                `"" ` + noImage,
		"db-1=,db-2=2":         `"" ` + noImage,
		"db-1=1 db-2=2":        `"1 db-2=2" ` + noImage,
		`{"db-1": 0}`:          `"0" ` + noImage, `{"db-1": -1}`: `"-1" ` + noImage, `{"db-1": 123.0}`: `"123.0" ` + noImage,
		`{"db-1": 1e3}`: `"1e3" ` + noImage, `{"db-1": 1e999}`: `"1e999" ` + noImage, `{"db-1": 9223372036854775808}`: `"9223372036854775808" ` + noImage,
		`{"db-1": "x"}`: `"x" ` + noImage, `{"db-1": ""}`: `"" ` + noImage,

		"db-1=1,db-1=2": twice, "db-1=1\ndb-1=1": twice, `{"db-1": 1, "db-1": 2}`: twice, `{"db-1": 1, "\u0064b-1": 1}`: twice,

		`{"db-1": {"id": 123}}`: noValue, `{"db-1": [123]}`: noValue, `{"db-1": null}`: noValue, `{"db-1": true}`: noValue,

		"{db-1: 123}": `"{db-1: 123}" ` + noJSON, `{"db-1": 123`: `"{\"db-1\": 123" ` + noJSON, `{"db-1": 123,}`: `"{\"db-1\": 123,}" ` + noJSON,
		`{"db-1": 0123}`: `"{\"db-1\": 0123}" ` + noJSON, `{"db-1": 1} x`: `"{\"db-1\": 1} x" ` + noJSON, `{"a": 1}{}`: `"{\"a\": 1}{}" ` + noJSON,
	} {
		_, err := readRestore("HSNAP_SERIES=nightly", "HSNAP_IMAGES="+given)
		if err == nil || err.Error() != "HSNAP_IMAGES: "+want {
			t.Errorf("%q:\n got %v\nwant HSNAP_IMAGES: %s", given, err, want)
		}
	}
}

func TestProof(t *testing.T) {
	accepted := map[string]config.Proof{
		"running": {},
		"ssh":     {SSH: true, Port: 22}, "ssh:2222": {SSH: true, Port: 2222}, "ssh:65535": {SSH: true, Port: 65535},
		"tcp:443": {Port: 443}, "tcp:1": {Port: 1},
	}
	for _, given := range slices.Sorted(maps.Keys(accepted)) {
		cfg, err := readRestore("HSNAP_IMAGES=db-1=1", "HSNAP_PROVE="+given)
		if diff := cmp.Diff(accepted[given], cfg.Prove); err != nil || diff != "" || cfg.Prove.Label() != strings.ReplaceAll(given, ":", "-") {
			t.Errorf("%q is %q: %v\n%s", given, cfg.Prove.Label(), err, diff)
		}
	}
	const mistake = " is no proof: accepted are running, ssh, ssh:PORT and tcp:PORT, with a port from 1 to 65535"
	for given, want := range map[string]string{
		"tcp": `"tcp"` + mistake, "tcp:": `"tcp:"` + mistake,
		"ssh:": `"ssh:"` + mistake, "ssh:0": `"ssh:0"` + mistake, "tcp:65536": `"tcp:65536"` + mistake, "tcp:-1": `"tcp:-1"` + mistake,
		"tcp:080": `"tcp:080"` + mistake, "tcp:+80": `"tcp:+80"` + mistake, "tcp: 80": `"tcp: 80"` + mistake, "tcp:http": `"tcp:http"` + mistake,
		"tcp:1:2": `"tcp:1:2"` + mistake, "tcp:18446744073709551617": `"tcp:18446744073709551617"` + mistake, "running:80": `"running:80"` + mistake,
		"running:": `"running:"` + mistake, "SSH": `"SSH"` + mistake, "22": `"22"` + mistake, ":22": `":22"` + mistake, "http:80": `"http:80"` + mistake,
		"ssh 22": `"ssh 22"` + mistake, "ssh-2222": `"ssh-2222"` + mistake,
	} {
		if _, err := readRestore("HSNAP_IMAGES=db-1=1", "HSNAP_PROVE="+given); err == nil || err.Error() != "HSNAP_PROVE: "+want {
			t.Errorf("%q:\n got %v\nwant HSNAP_PROVE: %s", given, err, want)
		}
	}
}
