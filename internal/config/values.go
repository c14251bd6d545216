package config

import (
	"errors"
	"fmt"
	"io"
	"net/netip"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// The types below decode themselves from the value of an input, by the method that envconfig calls. The value is
// trimmed and never empty.

// Secret is a string that fmt does not print. Convert it to a string for use.
type Secret string

// Format implements [fmt.Formatter], for every verb.
func (Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "***") }

// EnvDecode accepts the characters of a bearer token (RFC 6750, section 2.1). net/http sends no others, and the error
// does not show the value.
func (s *Secret) EnvDecode(value string) error {
	if strings.ContainsFunc(value, func(r rune) bool { return !alphanumeric(r) && !strings.ContainsRune("-._~+/=", r) }) {
		return errors.New("has a character that is in no token, such as a space, a line break or a quotation mark: give the token alone")
	}
	*s = Secret(value)
	return nil
}

// Bool is a switch, true or false.
type Bool bool

// EnvDecode accepts what is a boolean in YAML 1.2, as GitHub's own actions do.
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

// Parallel is a number of servers that are worked on at once.
type Parallel int

// EnvDecode accepts whole numbers from 1 to 100.
func (p *Parallel) EnvDecode(value string) error { return decodeNumber(p, value, 100) }

// Count is a number of servers, snapshots, or spans such as days, zero where it is not given.
type Count int

// EnvDecode accepts whole numbers from 1 to more than any account can hold.
func (c *Count) EnvDecode(value string) error { return decodeNumber(c, value, 100_000) }

func decodeNumber[T ~int](to *T, value string, most int) error {
	n, err := strconv.Atoi(value)
	if err != nil || n < 1 || n > most || value[0] == '+' {
		return refuse(value, "is not accepted: give a whole number from 1 to %d", most)
	}
	*to = T(n)
	return nil
}

// Amount is an amount of money above zero.
type Amount float64

// EnvDecode accepts a decimal number: no sign, no exponent, no currency, and no comma, which stands before the
// cents in some countries and between thousands in others.
func (a *Amount) EnvDecode(value string) error {
	whole, cents, point := strings.Cut(value, ".")
	n, err := strconv.ParseFloat(value, 64)
	switch {
	case strings.Contains(value, ","):
		return refuse(value, "has a comma: write the amount with a point, as 0.50")
	case err != nil || n <= 0 || !digits(whole) || point && !digits(cents):
		return refuse(value, "is no amount above zero: give a decimal number without a currency, as 0.50")
	}
	*a = Amount(n)
	return nil
}

// digits reports whether s has digits, and nothing else.
func digits(s string) bool { return s != "" && strings.Trim(s, "0123456789") == "" }

// Proof is what shows that a server works. The zero value is that Hetzner shows it running.
type Proof struct {
	Port int  // that accepts a connection
	SSH  bool // and answers with a line that begins with SSH-
}

// Label is the proof as the value of a label: ssh, ssh-2222, tcp-443, running.
func (p Proof) Label() string {
	switch {
	case p == Proof{22, true}:
		return "ssh"
	case p.SSH:
		return fmt.Sprintf("ssh-%d", p.Port)
	case p.Port != 0:
		return fmt.Sprintf("tcp-%d", p.Port)
	}
	return "running"
}

// EnvDecode accepts running, ssh, ssh:PORT and tcp:PORT.
func (p *Proof) EnvDecode(value string) error {
	kind, text, _ := strings.Cut(value, ":")
	port, err := strconv.ParseUint(text, 10, 16)
	switch {
	case value == "running":
		*p = Proof{}
	case value == "ssh":
		*p = Proof{22, true}
	case (kind == "ssh" || kind == "tcp") && err == nil && text[0] != '0':
		*p = Proof{int(port), kind == "ssh"}
	default:
		return refuse(value, "is no proof: accepted are running, ssh, ssh:PORT and tcp:PORT, with a port from 1 to 65535")
	}
	return nil
}

// ServerType is the name of a server type, or else how one is chosen: same or cheapest.
type ServerType string

// EnvDecode accepts what may be the name of a type. Whether there is one of that name is Hetzner's to say.
func (s *ServerType) EnvDecode(value string) error {
	const rule = "is no server type: accepted are same, cheapest and the name of a type, as cx23"
	switch lower := strings.ToLower(value); {
	case !validName(lower, "-"):
		return refuse(value, rule)
	case lower != value:
		return refuse(value, rule+" (did you mean %s?)", lower)
	}
	*s = ServerType(value)
	return nil
}

// Span is a span of calendar time, zero where it is not given.
type Span time.Duration

// EnvDecode accepts a [Duration] in hours, days and weeks.
func (s *Span) EnvDecode(value string) error {
	d, err := parseDuration(value)
	if err != nil || d == 0 || strings.Trim(value, "0123456789.hdw") != "" {
		return refuse(value, "is no span of hours, days and weeks above zero: give one as 48h, 30d or 2w"+
			" (m and y are not accepted: an m is a month for some and a minute for others)")
	}
	*s = Span(d)
	return nil
}

// Pause is a span of time, which may be zero.
type Pause time.Duration

// EnvDecode accepts what [Duration] does, and 0s.
func (p *Pause) EnvDecode(value string) error {
	d, err := parseDuration(value)
	*p = Pause(d)
	return err
}

// Duration is a span of time above zero.
type Duration time.Duration

// EnvDecode accepts Go's notation, and d for 24 hours and w for 7 days.
func (d *Duration) EnvDecode(value string) error {
	span, err := parseDuration(value)
	if err == nil && span == 0 {
		return refuse(value, "is not accepted: give a duration above zero, as 90s, 1h30m or 7d")
	}
	*d = Duration(span)
	return err
}

// daysOrWeeks is a number with a unit that Go does not have.
var daysOrWeeks = regexp.MustCompile(`[0-9.]+[dw]`)

// parseDuration reads Go's notation, in which days and weeks are so many hours.
func parseDuration(value string) (time.Duration, error) {
	if strings.Trim(value, "0123456789.") == "" {
		if n, err := strconv.Atoi(value); err == nil && 0 < n && n < 100_000 {
			return 0, refuse(value, "has no unit: did you mean %dm or %[1]ds?", n)
		}
		return 0, refuse(value, "has no unit: give a duration as 90s, 1h30m or 7d")
	}
	inHours := daysOrWeeks.ReplaceAllStringFunc(value, func(part string) string {
		number, isWeeks := strings.CutSuffix(part, "w")
		hours := 24.0
		if isWeeks {
			hours *= 7
		}
		n, err := strconv.ParseFloat(strings.TrimSuffix(number, "d"), 64)
		if err != nil {
			return part // which Go refuses
		}
		return strconv.FormatFloat(n*hours, 'f', 9, 64) + "h" // 0.7 days are 16.8 hours, and not a little less
	})
	d, err := time.ParseDuration(inHours)
	if err != nil || value[0] == '-' {
		return 0, refuse(value, "is no duration of up to 292 years: give numbers with the units s, m, h, d or w, as 90s, 1h30m or 7d")
	}
	return d, nil
}

// Endpoint is the base URL of the API, without a slash at its end.
type Endpoint string

// EnvDecode accepts an https URL that ends in /v1, and an http one if its host is a loopback address: the token must
// not travel in the clear.
func (e *Endpoint) EnvDecode(value string) error {
	if strings.Contains(value, "@") {
		return errors.New("has user info, which is not accepted and not shown: give a URL like https://api.hetzner.cloud/v1") // it may be a password
	}
	u, err := url.Parse(strings.TrimRight(value, "/"))
	switch {
	case err != nil || u.Hostname() == "" || u.Scheme != "https" && u.Scheme != "http" ||
		strings.ContainsAny(value, "?#") || !strings.HasSuffix(u.Path, "/v1"):
		return refuse(value, "is no base URL of the API: give one like https://api.hetzner.cloud/v1")
	case u.Scheme == "http" && !loopback(u.Hostname()):
		return refuse(value, "would send the token unencrypted: http is accepted for addresses of this machine only (localhost, 127.0.0.1), use https")
	}
	*e = Endpoint(u.String())
	return nil
}

// loopback reports whether requests to a host stay on this machine. Names other than localhost are not resolved: the
// answer could change.
func loopback(host string) bool {
	addr, err := netip.ParseAddr(host)
	return strings.EqualFold(host, "localhost") || err == nil && addr.IsLoopback()
}

// alphanumeric reports whether r is an ASCII letter or digit.
func alphanumeric(r rune) bool {
	return 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9'
}
