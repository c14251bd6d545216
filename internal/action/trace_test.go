package action_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/org/hsnap-action/internal/hcloudsim"
)

// trace is every request that the program sent, in order, and what it was answered. A judge reads from it what the program
// could know at any time; the simulated project itself says what was true.
type trace struct {
	mu   sync.Mutex
	list []*exchange
}

// exchange is one request as the program saw it.
type exchange struct {
	sent, done time.Time // done is zero while no answer has come
	method     string
	path       string // without /v1
	query      string // label_selector, where there is one
	filter     string // status, where there is one
	body       string
	status     int  // 0: no answer
	dialled    bool // there was a connection
	header     http.Header
	answer     []byte // the whole body; nil where it broke off
	read       *content
}

// content is what an answer holds, as far as judges want to know.
type content struct {
	Error   struct{ Code, Message string }
	Server  *shownServer
	Servers []shownServer
	Image   *shownImage
	Images  []shownImage
	Action  *shownAction
	Actions []shownAction
	Meta    struct {
		Pagination *struct {
			NextPage *int `json:"next_page"`
			LastPage *int `json:"last_page"`
			Page     int
		}
	}
}

type shownServer struct {
	ID     int64
	Status string
	Locked bool
	Image  struct{ ID int64 }
}

type shownImage struct {
	ID     int64
	Status string
	Labels map[string]string
}

type shownAction struct {
	ID        int64
	Command   string
	Status    string
	Error     *struct{ Message string }
	Resources []struct {
		ID   int64
		Type string
	}
}

// record records what goes through a transport.
func (tr *trace) record(next http.RoundTripper) http.RoundTripper {
	return roundTrip(func(r *http.Request) (*http.Response, error) {
		x := &exchange{
			sent: time.Now(), method: r.Method, path: strings.TrimPrefix(r.URL.Path, "/v1"), query: r.URL.Query().Get("label_selector"),
			filter: r.URL.Query().Get("status"), dialled: true,
		}
		if r.Body != nil && r.Body != http.NoBody {
			body, err := io.ReadAll(r.Body)
			if err != nil {
				return nil, err
			}
			r = r.WithContext(r.Context()) // a shallow copy: the original belongs to the caller
			r.Body = io.NopCloser(bytes.NewReader(body))
			x.body = string(body)
		}
		tr.mu.Lock()
		tr.list = append(tr.list, x)
		tr.mu.Unlock()
		resp, err := next.RoundTrip(r)
		var answer []byte
		var broken error
		if err == nil {
			answer, broken = io.ReadAll(resp.Body)
			_ = resp.Body.Close()
			resp.Body = io.NopCloser(io.MultiReader(bytes.NewReader(answer), failing{broken}))
		}
		tr.mu.Lock()
		defer tr.mu.Unlock()
		x.done = time.Now()
		if err != nil {
			op, ok := errors.AsType[*net.OpError](err)
			x.dialled = !ok || op.Op != "dial"
			return nil, err
		}
		x.status, x.header = resp.StatusCode, resp.Header
		if broken == nil {
			x.answer = answer
		}
		return resp, nil
	})
}

// failing is how a body ends: with an error, or well.
type failing struct{ err error }

func (f failing) Read([]byte) (int, error) {
	if f.err == nil {
		return 0, io.EOF
	}
	return 0, f.err
}

// wire calls the hooks that net/http calls on a request's way. Of the requests whose answer is lost, one in so many breaks
// off while it is written, which proves nothing: what was written may be all that Hetzner needs.
type wire struct {
	next  http.RoundTripper
	oneIn uint32
}

func (n wire) RoundTrip(r *http.Request) (*http.Response, error) {
	hooks := httptrace.ContextClientTrace(r.Context())
	if hooks == nil {
		return n.next.RoundTrip(r)
	}
	hash := fnv.New32a()
	_, _ = fmt.Fprint(hash, r.Method, r.URL.Path, time.Now().UnixNano())
	hooks.GetConn(r.URL.Host)
	resp, err := n.next.RoundTrip(r)
	op, ok := errors.AsType[*net.OpError](err)
	if ok && op.Op == "dial" {
		return nil, err
	}
	hooks.GotConn(httptrace.GotConnInfo{})
	if ok && hash.Sum32()%n.oneIn == 0 {
		return nil, &net.OpError{Op: "write", Net: "tcp", Err: syscall.EPIPE}
	}
	hooks.WroteHeaders()
	return resp, err
}

// content returns what a whole answer in JSON holds; nothing for any other.
func (x *exchange) content() *content {
	if x.read == nil {
		x.read = &content{}
		if json.Unmarshal(x.answer, x.read) != nil {
			x.read = &content{}
		}
	}
	return x.read
}

// verdict is what an answer to a change means, by the contract's own words.
type verdict int

const (
	accepted verdict = iota
	neverSent
	notNow
	noRoom
	refusedForGood
	tokenRefused
	lostAnswer
)

// verdict judges the answer apart from the program.
func (x *exchange) verdict() verdict {
	c := x.content()
	switch {
	case !x.dialled:
		return neverSent
	case x.status/100 == 2:
		switch {
		case x.method == http.MethodDelete && x.status == http.StatusNoContent,
			x.method == http.MethodPut && c.Image != nil && c.Image.ID > 0,
			x.method == http.MethodPost && c.Action != nil && c.Action.ID > 0 && (!x.isCreate() || c.Image != nil && c.Image.ID > 0):
			return accepted
		}
		return lostAnswer
	case x.status < 400 || x.status >= 500 || c.Error.Code == "":
		return lostAnswer
	}
	switch c.Error.Code {
	case "locked", "conflict", "rate_limit_exceeded", "maintenance", "resource_unavailable", "service_error":
		return notNow
	case "resource_limit_exceeded":
		return noRoom
	case "unauthorized", "token_readonly", "forbidden":
		return tokenRefused
	}
	return refusedForGood
}

// act returns the server and the action that a request is about, as "poweron"; 0 where it is about none.
func (x *exchange) act() (server int64, action string) {
	parts := strings.Split(x.path, "/") // "", servers, 42, actions, poweron
	if x.method != http.MethodPost || len(parts) != 5 || parts[1] != "servers" {
		return 0, ""
	}
	server, _ = strconv.ParseInt(parts[2], 10, 64)
	return server, parts[4]
}

func (x *exchange) isCreate() bool {
	_, action := x.act()
	return action == "create_image"
}

// labels returns the labels that a create or a PUT sends.
func (x *exchange) labels() map[string]string {
	var body struct{ Labels map[string]string }
	_ = json.Unmarshal([]byte(x.body), &body)
	return body.Labels
}

// request returns the value by which a create's image is found.
func (x *exchange) request() string { return x.labels()["hsnap/request"] }

// shows returns a server as an answer to a poll shows it, nil where it doesn't.
func (x *exchange) shows(server int64) *shownServer {
	if x.method != http.MethodGet || x.status != http.StatusOK || !strings.HasPrefix(x.path, "/servers") {
		return nil
	}
	c := x.content()
	if c.Server != nil && c.Server.ID == server {
		return c.Server
	}
	if c.Meta.Pagination == nil {
		return nil // it is no listing
	}
	for i := range c.Servers {
		if c.Servers[i].ID == server {
			return &c.Servers[i]
		}
	}
	return nil
}

// listsAll reports whether an answer is a complete listing of the images with a request's label. They fit on one page.
func (x *exchange) listsAll(request string) bool {
	if x.method != http.MethodGet || x.path != "/images" || x.status != http.StatusOK || !strings.Contains(x.query, request) {
		return false
	}
	c := x.content()
	pages := c.Meta.Pagination
	return c.Images != nil && pages != nil && pages.Page == 1 && pages.NextPage == nil && (pages.LastPage == nil || *pages.LastPage == 1)
}

// holds reports whether an answer shows an image with a request's label.
func (x *exchange) holds(request string) bool {
	return slices.ContainsFunc(x.content().Images, func(i shownImage) bool { return i.Labels["hsnap/request"] == request })
}

// remaining returns how much of the project's rate limit an answer says is left; false where it says nothing.
func (x *exchange) remaining() (left, limit int, ok bool) {
	left, err := strconv.Atoi(x.header.Get("RateLimit-Remaining"))
	limit, err2 := strconv.Atoi(x.header.Get("RateLimit-Limit"))
	return left, limit, err == nil && err2 == nil
}

// powerLog is the truth about the servers' power, as far as it can be seen every now and then.
type powerLog struct {
	every time.Duration
	spans map[int64][]powerSpan // by server, in order
}

// powerSpan is a time in which a server's status did not change.
type powerSpan struct {
	from   time.Time // when it was first seen
	status string    // "" for a server that does not exist
}

// watchPower notes the servers' power from now on.
func (w *world) watchPower() {
	w.power = &powerLog{every: 500 * time.Millisecond, spans: map[int64][]powerSpan{}}
	at := time.Now()
	var note func(*hcloudsim.Cloud)
	note = func(c *hcloudsim.Cloud) {
		there := map[int64]bool{}
		for _, s := range c.Servers() {
			w.power.note(s.ID, s.Status, at)
			there[s.ID] = true
		}
		for id := range w.power.spans {
			if !there[id] {
				w.power.note(id, "", at)
			}
		}
		at = at.Add(w.power.every)
		c.At(w.power.every, note)
	}
	w.cloud.At(0, note)
}

func (l *powerLog) note(server int64, status string, at time.Time) {
	spans := l.spans[server]
	if len(spans) == 0 || spans[len(spans)-1].status != status {
		l.spans[server] = append(spans, powerSpan{at, status})
	}
}
