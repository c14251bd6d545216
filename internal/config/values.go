package config

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net/netip"
	"net/url"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// The types below decode themselves from the value of an input, by the method
// that envconfig looks for: it gets the trimmed value, never an empty one.

// Secret is a string that fmt does not print. Convert it to a string for use.
type Secret string

// Format implements [fmt.Formatter], for every verb.
func (Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "***") }

// EnvDecode accepts what can be sent as a bearer token, by RFC 6750, section
// 2.1. Quotes and line breaks that came along in copying are found out here
// rather than by Hetzner's "unauthorized".
func (s *Secret) EnvDecode(value string) error {
	for _, r := range value {
		switch {
		case unicode.IsSpace(r):
			return refuse("", "contains white space: give the token alone")
		case !alphanumeric(r) && !strings.ContainsRune("-._~+/=", r):
			return refuse("", "contains a character that is in no token, perhaps a quotation mark: accepted are letters, digits and -._~+/=")
		}
	}
	*s = Secret(value)
	return nil
}

// Bool is a switch, true or false.
type Bool bool

// EnvDecode accepts what YAML 1.2 takes for a boolean, as GitHub's own actions
// do. It takes no yes, on or 1.
func (b *Bool) EnvDecode(value string) error {
	switch value {
	case "true", "True", "TRUE":
		*b = true
	case "false", "False", "FALSE":
		*b = false
	default:
		return refuse(value, "is no boolean: accepted are true and false")
	}
	return nil
}

// Parallel is a number of snapshots in flight, from 1 to 100.
type Parallel int

// EnvDecode accepts decimal digits.
func (p *Parallel) EnvDecode(value string) error {
	n, err := strconv.ParseUint(value, 10, 64) // unlike Atoi it takes no sign
	if err != nil || n < 1 || n > 100 {
		return refuse(value, "is not accepted: give a whole number from 1 to 100")
	}
	*p = Parallel(n)
	return nil
}

// Count is a whole number, at least 1 where it is given.
type Count int

// EnvDecode accepts decimal digits.
func (c *Count) EnvDecode(value string) error {
	const most = 100_000 // more than any account can hold
	n, err := strconv.ParseUint(value, 10, 64)
	if err != nil || n < 1 || n > most {
		return refuse(value, "is not accepted: give a whole number from 1 to 100000")
	}
	*c = Count(n)
	return nil
}

// Span is a span of calendar time, above zero where it is given.
type Span time.Duration

// EnvDecode accepts numbers with the units h, d and w.
func (s *Span) EnvDecode(value string) error {
	for unit := range strings.FieldsFuncSeq(value, func(r rune) bool { return '0' <= r && r <= '9' || r == '.' || r == '-' }) {
		switch unit {
		case "h", "d", "w":
		case "m", "y":
			return refuse(value, "is ambiguous: a month for some is a minute for others; give hours, days or weeks, as 48h, 30d or 52w")
		default:
			return refuse(value, "is no such span: give hours, days or weeks, as 48h, 30d or 2w")
		}
	}
	d, err := parseDuration(value)
	switch {
	case err != nil || !strings.ContainsAny(value, "hdw"):
		return refuse(value, "is no such span: give hours, days or weeks, as 48h, 30d or 2w")
	case d <= 0:
		return refuse(value, "is not accepted: give a span above zero, as 48h, 30d or 2w")
	}
	*s = Span(d)
	return nil
}

// Pause is a span of time, which may be zero.
type Pause time.Duration

// EnvDecode accepts what [Duration] does, and 0s.
func (p *Pause) EnvDecode(value string) error {
	d, err := parseDuration(value)
	switch {
	case err != nil:
		return err
	case d < 0:
		return refuse(value, "is not accepted: give a duration, as 90s or 5m, or 0s for none")
	}
	*p = Pause(d)
	return nil
}

// Duration is a span of time above zero.
type Duration time.Duration

// String is the duration in Go's notation, as 1h30m0s.
func (d Duration) String() string { return time.Duration(d).String() }

// EnvDecode accepts Go's notation, and d for 24 hours and w for 7 days.
func (d *Duration) EnvDecode(value string) error {
	span, err := parseDuration(value)
	switch {
	case err != nil:
		return err
	case span <= 0:
		return refuse(value, "is not accepted: give a duration above zero, as 90s, 1h30m or 7d")
	}
	*d = Duration(span)
	return nil
}

// parseDuration reads a sequence of decimal numbers, each with a unit.
func parseDuration(value string) (time.Duration, error) {
	const digits = "0123456789."
	if strings.Trim(value, digits) == "" {
		if n, err := strconv.Atoi(value); err == nil && 0 < n && n < 100_000 {
			return 0, refuse(value, fmt.Sprintf("has no unit: did you mean %dm or %[1]ds?", n))
		}
		return 0, refuse(value, "has no unit: give a duration as 90s, 1h30m or 7d")
	}
	var sum time.Duration
	rest, negative := strings.CutPrefix(value, "-")
	if !negative {
		rest = strings.TrimPrefix(rest, "+") // as Go's own
	}
	if rest == "" {
		return 0, refuse(value, "is no duration: give numbers with the units s, m, h, d or w, as 90s, 1h30m or 7d")
	}
	for rest != "" {
		number := rest[:len(rest)-len(strings.TrimLeft(rest, digits))]
		rest = rest[len(number):]
		unit := rest
		if end := strings.IndexAny(rest, digits); end >= 0 {
			unit = rest[:end]
		}
		rest = rest[len(unit):]

		scale := time.Duration(1)
		switch unit {
		case "d":
			unit, scale = "h", 24
		case "w":
			unit, scale = "h", 7*24
		}
		if _, err := time.ParseDuration("1" + unit); err != nil || unit == "" ||
			strings.Count(number, ".") > 1 || strings.Trim(number, ".") == "" {
			return 0, refuse(value, "is no duration: give numbers with the units s, m, h, d or w, as 90s, 1h30m or 7d")
		}
		// What is left to go wrong is the range.
		part, err := time.ParseDuration(number + unit)
		if err != nil || part > math.MaxInt64/scale || sum > math.MaxInt64-part*scale {
			return 0, refuse(value, "is too long: a duration can have 292 years at most")
		}
		sum += part * scale
	}
	if negative {
		return -sum, nil
	}
	return sum, nil
}

// List holds names, IDs or globs of servers, each once, in the order given.
type List []string

// EnvDecode accepts entries separated by commas and white space. Globs are those
// of [path.Match].
func (l *List) EnvDecode(value string) error {
	var (
		list List
		errs []error
	)
	for _, entry := range strings.FieldsFunc(value, func(r rune) bool { return r == ',' || unicode.IsSpace(r) }) {
		if slices.Contains(list, entry) {
			continue
		}
		if _, err := path.Match(entry, ""); err != nil {
			errs = append(errs, refuse(entry, `is no valid glob: accepted are *, ?, [abc], [a-z] and [^a-z], and \ before one of these characters`))
			continue
		}
		list = append(list, entry)
	}
	if len(errs) > 0 {
		return errors.Join(errs...)
	}
	if len(list) == 0 {
		return refuse(value, "lists nothing: give names, IDs or globs, separated by commas, spaces or newlines")
	}
	*l = list
	return nil
}

// Path is the path of a file.
type Path string

// EnvDecode accepts any text of one line.
func (p *Path) EnvDecode(value string) error {
	if err := checkLine(value); err != nil {
		return err
	}
	*p = Path(value)
	return nil
}

// Endpoint is the base URL of the API, without a slash at its end.
type Endpoint string

// EnvDecode accepts an https URL that ends in /v1, and an http one if its host
// is a loopback address: the token must not travel in the clear.
func (e *Endpoint) EnvDecode(value string) error {
	const accepted = "accepted is a URL like https://api.hetzner.cloud/v1"
	if strings.Contains(value, "@") {
		return refuse("", "contains user info, which is not accepted and not shown: "+accepted) // it may be a password
	}
	u, err := url.Parse(strings.TrimRight(value, "/"))
	if err != nil || u.Hostname() == "" {
		return refuse(value, "is no absolute URL: "+accepted)
	}
	if _, err := strconv.ParseUint(u.Port(), 10, 16); err != nil && u.Port() != "" {
		return refuse(value, "has a port above 65535: "+accepted)
	}
	switch {
	case u.Scheme != "https" && u.Scheme != "http":
		return refuse(value, "is no https URL: "+accepted)
	case u.Scheme == "http" && !loopback(u.Hostname()):
		return refuse(value, "would send the token unencrypted: http is accepted for addresses of this machine only (localhost, 127.0.0.1), use https")
	case strings.ContainsAny(value, "?#"):
		return refuse(value, "has a query or a fragment: "+accepted)
	case !strings.HasSuffix(u.Path, "/v1"):
		return refuse(value, "does not end in /v1: "+accepted)
	}
	*e = Endpoint(u.String())
	return nil
}

// loopback tells whether what is sent to a host stays on this machine. Names
// other than localhost are not resolved: the answer could change.
func loopback(host string) bool {
	if strings.EqualFold(host, "localhost") {
		return true
	}
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.IsLoopback()
}

// mustBeText refuses what is no text, in any input, before it gets to its
// decoder. It is an envconfig.MutatorFunc that changes nothing.
func mustBeText(_ context.Context, _, _, _, value string) (string, bool, error) {
	return value, false, checkText(value)
}

// mustBeOneOf refuses a value that is not in its input's list, where the input has one. It is an
// envconfig.MutatorFunc that changes nothing.
func mustBeOneOf(_ context.Context, key, _, _, value string) (string, bool, error) {
	choices := inputOf(key).choices
	if len(choices) == 0 || slices.Contains(choices, value) {
		return value, false, nil
	}
	last := len(choices) - 1
	return "", false, refuse(value, "is not accepted: use "+strings.Join(choices[:last], ", ")+" or "+choices[last])
}

func checkText(value string) error {
	if !utf8.ValidString(value) {
		return refuse(value, "is not valid UTF-8")
	}
	if strings.ContainsFunc(value, func(r rune) bool { return unicode.IsControl(r) && !strings.ContainsRune("\t\n\r", r) }) {
		return refuse(value, "contains a control character: only tabs and line breaks are accepted")
	}
	return nil
}

// checkLine refuses control characters altogether.
func checkLine(value string) error {
	if strings.ContainsFunc(value, unicode.IsControl) {
		return refuse(value, "contains a line break or a tab: give a single line")
	}
	return nil
}

// alphanumeric tells whether r is an ASCII letter or digit.
func alphanumeric(r rune) bool {
	return 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9'
}
