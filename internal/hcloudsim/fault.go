package hcloudsim

import (
	"encoding/json"
	"fmt"
	"net/http"
	"path"
	"slices"
	"time"
)

// Fault is something that goes wrong with requests.
type Fault struct {
	Kind FaultKind

	// Method and Path select the requests: Path is a pattern of [path.Match]
	// for the URL's path without /v1, such as "/servers/*/actions/create_image".
	// Empty matches all.
	Method, Path string

	// Of the requests that match, the first Skip pass, then every Every-th
	// (zero: each) meets the fault, at most Times of them (zero: all).
	// Requests count in the order in which they are processed.
	Skip, Times, Every int

	// The fault is there from From after it was injected and for For.
	// A For of zero: for ever.
	From, For time.Duration

	// Delay is how much longer a Slow answer takes, and when after the request
	// a LoseAnswerLate takes effect.
	Delay time.Duration

	// Shift is where the later pages of a ShiftedPage begin: -1 (also for
	// zero) an item early, as if one had appeared in front; 1 an item late, as
	// if one of the first page had gone.
	Shift int

	// What an ErrorJSON answers.
	Status        int
	Code, Message string
}

// FaultKind is what goes wrong.
type FaultKind int

// The kinds of faults. Unless it says otherwise, a request that meets one is
// processed.
const (
	// LoseAnswerDone breaks the connection after the request took effect.
	LoseAnswerDone FaultKind = iota + 1
	// LoseAnswerLate breaks the connection; the request takes effect Delay later.
	LoseAnswerLate
	// LoseAnswerNever breaks the connection; the request never takes effect.
	LoseAnswerNever
	// DropConnection breaks the connection as soon as the request is there.
	// It is not processed.
	DropConnection
	// RefuseDial refuses the connection. Over a real network, where the
	// connection exists already, it is a DropConnection.
	RefuseDial
	// HTML502 is a gateway's answer. The request is not processed.
	HTML502
	// ErrorJSON is an error of the API: Status, Code and Message. The request
	// is not processed.
	ErrorJSON
	// EmptyObject answers {} with a status of success.
	EmptyObject
	// CutBody ends the connection in the middle of the answer's body.
	CutBody
	// Garbled answers broken JSON with a status of success.
	Garbled
	// NoPagination leaves the meta data out of a listing.
	NoPagination
	// ShiftedPage moves the pages of a listing after the first by Shift.
	ShiftedPage
	// RateLimited answers 429 with a message that quotes the beginning of the
	// token. The request is not processed.
	RateLimited
	// Slow lets the answer take Delay longer.
	Slow
	// Hang never answers; it waits until the request's context ends. The
	// request is not processed.
	Hang
	// NoCorrelation leaves out the correlation ID.
	NoCorrelation
	// NoDate leaves out the time.
	NoDate
	// Redirect307 redirects to the same address. The request is not processed.
	Redirect307
	// WrongImageID answers a create with the ID of another image, the oldest
	// one of the project: the snapshot's labels are then on another image than
	// the answer names. Without another image the answer stays right.
	WrongImageID
	// ForgetActions answers GET /actions with none, whichever were asked for.
	ForgetActions
	// UnknownTotal lists as the API does when it doesn't know the total number
	// of entries: total_entries and last_page are null.
	UnknownTotal
)

var faultNames = [...]string{
	LoseAnswerDone:  "lose-answer-done",
	LoseAnswerLate:  "lose-answer-late",
	LoseAnswerNever: "lose-answer-never",
	DropConnection:  "drop-connection",
	RefuseDial:      "refuse-dial",
	HTML502:         "html-502",
	ErrorJSON:       "error-json",
	EmptyObject:     "empty-object",
	CutBody:         "cut-body",
	Garbled:         "garbled",
	NoPagination:    "no-pagination",
	ShiftedPage:     "shifted-page",
	RateLimited:     "rate-limited",
	Slow:            "slow",
	Hang:            "hang",
	NoCorrelation:   "no-correlation",
	NoDate:          "no-date",
	Redirect307:     "redirect-307",
	WrongImageID:    "wrong-image-id",
	ForgetActions:   "forget-actions",
	UnknownTotal:    "unknown-total",
}

// String is the name of the kind as it stands in [Exchange.Fault]; empty for
// zero.
func (k FaultKind) String() string {
	if k < 0 || int(k) >= len(faultNames) {
		return "unknown"
	}
	return faultNames[k]
}

// injected is a fault with its counts.
type injected struct {
	Fault
	since   time.Time
	matched int
	fired   int
}

// matchPath reports whether a path matches a pattern; the empty one matches
// all.
func matchPath(pattern, name string) (bool, error) {
	if pattern == "" {
		return true, nil
	}
	return path.Match(pattern, name)
}

// fires reports whether the fault hits this request, and counts it.
func (f *injected) fires(ex *exchange, now time.Time) bool {
	if f.Method != "" && f.Method != ex.Method {
		return false
	}
	if ok, _ := matchPath(f.Path, ex.Path); !ok { // the pattern was checked when it was injected
		return false
	}
	age := now.Sub(f.since)
	if age < f.From || f.For > 0 && age >= f.From+f.For {
		return false
	}
	if f.Times > 0 && f.fired >= f.Times {
		return false
	}
	f.matched++
	if f.matched <= f.Skip {
		return false
	}
	if f.Every > 1 && (f.matched-f.Skip)%f.Every != 0 {
		return false
	}
	f.fired++
	return true
}

// faultFor returns the fault that the request meets; its Kind is zero where
// there is none.
func (p *project) faultFor(ex *exchange) Fault {
	for _, f := range p.faults {
		if f.fires(ex, p.now) {
			return f.Fault
		}
	}
	if ex.random != nil {
		return *ex.random
	}
	return Fault{}
}

// gatewayPage is the HTML with which a gateway answers in the API's place.
func gatewayPage(status int) (reply, []byte) {
	title := fmt.Sprintf("%d %s", status, http.StatusText(status))
	body := fmt.Sprintf("<html>\n<head><title>%s</title></head>\n<body>\n<center><h1>%s</h1></center>\n<hr><center>nginx</center>\n</body>\n</html>\n", title, title)
	return reply{status: status, header: http.Header{"Content-Type": {"text/html"}}}, []byte(body)
}

// ending is how an answer ends.
type ending int

const (
	complete ending = iota
	severed         // no answer: the connection breaks
	refused         // no answer: there was no connection
	hung            // no answer, and the connection stays
	cut             // the connection breaks in the middle of the body
)

// outcome is what becomes of a request.
type outcome struct {
	reply
	body   []byte
	ending ending
	fault  FaultKind
	delay  time.Duration // beyond the latency
}

// process decides what becomes of a request, and lets it take effect. It
// is called once for each request, with the state of the time at which the
// request takes effect.
func (p *project) process(ex *exchange) outcome {
	if ex.unsized {
		page, body := gatewayPage(http.StatusLengthRequired)
		return outcome{reply: page, body: body}
	}
	f := p.faultFor(ex)
	if f.Kind != 0 {
		ex.Fault = f.Kind.String()
	}
	if out, stopped := p.stop(ex, f); stopped {
		return out
	}
	out := outcome{fault: f.Kind, reply: p.perform(ex, f)}
	p.limit.writeTo(out.header, p.now)
	if ex.correlation != "" && f.Kind != NoCorrelation {
		out.header.Set("X-Correlation-Id", ex.correlation)
	}
	if f.Kind != NoDate {
		out.header.Set("Date", p.now.UTC().Format(http.TimeFormat))
	}
	if f.Kind == NoPagination {
		if object, ok := out.content.(map[string]any); ok {
			delete(object, "meta")
		}
	}
	if out.content != nil {
		body, err := json.Marshal(out.content)
		if err != nil {
			panic(err) // the content is our own
		}
		out.body = slices.Concat(body, []byte("\n"))
		out.header.Set("Content-Type", "application/json")
	}

	switch f.Kind {
	case LoseAnswerDone:
		out.ending = severed
	case CutBody:
		out.ending = cut
	case Slow:
		out.delay = f.Delay
	case EmptyObject:
		out.pretend([]byte("{}\n"))
	case Garbled:
		// The gateway has the length right and the content wrong.
		half := out.body[:len(out.body)/2]
		out.pretend(slices.Concat(half, []byte("\x00\xef\xbf")))
	default: // the others have had their effect
	}
	return out
}

// stop returns the outcome of a request whose fault keeps it from being
// processed, at least for now.
func (p *project) stop(ex *exchange, f Fault) (out outcome, stopped bool) {
	out.fault = f.Kind
	switch f.Kind {
	case DropConnection, LoseAnswerNever:
		out.ending = severed
	case RefuseDial:
		out.ending = refused
	case Hang:
		out.ending = hung
	case LoseAnswerLate:
		out.ending = severed
		p.after(f.Delay, func() { p.perform(ex, Fault{}) })
	case HTML502:
		out.reply, out.body = gatewayPage(http.StatusBadGateway)
	case Redirect307:
		out.reply = reply{status: http.StatusTemporaryRedirect, header: http.Header{"Location": {ex.uri}}}
	default: // the others let the request be processed
		return out, false
	}
	return out, true
}

// pretend replaces the body and, where there was an error or no body, the
// status: something between the API and the client has lost both.
func (out *outcome) pretend(body []byte) {
	out.body = body
	out.header.Set("Content-Type", "application/json")
	if out.status >= 300 || out.status == http.StatusNoContent {
		out.status = http.StatusOK
	}
}
