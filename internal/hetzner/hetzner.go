// Package hetzner is the one place that talks to the Hetzner Cloud API.
//
// It sends one request and says what the answer means. It never repeats one that changes something, never waits
// between two, and never takes half an answer for a whole one: a caller that wants to look again, or to ask again,
// decides that for itself, knowing what is at stake. Everything that leaves the package as text is free of the API token.
package hetzner

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/hetznercloud/hcloud-go/v2/hcloud"
	"github.com/hetznercloud/hcloud-go/v2/hcloud/schema"

	"github.com/org/hsnap-action/internal/secret"
)

const (
	// PerPage is the most that Hetzner lists on one page.
	PerPage = 50
	// ActionsPerLook is the most action IDs that one request answers reliably.
	ActionsPerLook = 25

	lookTimeout   = 10 * time.Second
	changeTimeout = 60 * time.Second
)

// Client sends requests to one project of Hetzner Cloud. It is safe for concurrent use.
type Client struct {
	api     *hcloud.Client
	local   http.RoundTripper // for the metadata service
	mask    secret.Mask
	observe func(Exchange)
}

// Options configures a [Client]. Endpoint (the base URL with /v1), Token and Transport are required.
type Options struct {
	Endpoint  string
	Token     string
	Version   string // of this program, for the User-Agent
	Transport http.RoundTripper
	Mask      secret.Mask
	Observe   func(Exchange) // told of every request after its answer; may be nil; called from many goroutines
}

// Exchange is one request and what came of it, for a debug log. It holds no header and no body.
type Exchange struct {
	Method, Path string
	Status       int // 0 without an answer
	Took         time.Duration
	Correlation  string
	Err          error // nil, or an [*Error]
}

// Quota is what the API said about the project's request limit; zero where it said nothing.
type Quota struct {
	Limit, Remaining int
}

// Low reports whether less than a tenth of the project's requests is left, so that others need it more than we do.
func (q Quota) Low() bool { return q.Limit > 0 && q.Remaining*10 < q.Limit }

// New returns a client. It sends nothing.
func New(o Options) *Client {
	observe := o.Observe
	if observe == nil {
		observe = func(Exchange) {}
	}
	return &Client{
		local:   direct(o.Transport),
		mask:    o.Mask,
		observe: observe,
		api: hcloud.NewClient(
			hcloud.WithEndpoint(o.Endpoint),
			hcloud.WithToken(o.Token),
			hcloud.WithApplication("hsnap-action", o.Version),
			// The caller's loop is the only retry: what the library repeats can be a second snapshot, or a minute
			// during which nobody looks at the other servers.
			hcloud.WithRetryOpts(hcloud.RetryOpts{MaxRetries: 0}),
			hcloud.WithHTTPClient(&http.Client{
				Transport: sendOnce{o.Transport},
				// A 307 or 308 would repeat the request, body and token included, wherever it points.
				CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
			}),
		),
	}
}

// NewTransport returns a transport for the real network. It differs from [http.DefaultTransport] in noticing within
// seconds that a kept connection has died: a NAT gateway on the way forgets a quiet one within minutes, and every
// look on it would otherwise run into its timeout.
func NewTransport() http.RoundTripper {
	t := http.DefaultTransport.(*http.Transport).Clone()
	// Plain HTTP is for addresses of this machine only, and the token must not travel in the clear, through no proxy either.
	t.Proxy = func(r *http.Request) (*url.URL, error) {
		if r.URL.Scheme == "http" {
			return nil, nil //nolint:nilnil // net/http's own way of saying that there is no proxy
		}
		return http.ProxyFromEnvironment(r)
	}
	t.TLSHandshakeTimeout = 10 * time.Second
	t.HTTP2 = &http.HTTP2Config{SendPingTimeout: 5 * time.Second, PingTimeout: 5 * time.Second}
	return t
}

// sendOnce keeps net/http from sending a request that changes something again by itself. Over HTTP/2 it does so after a
// stream error or when the connection is being closed; with a body, if an empty one, and without GetBody it can't, and
// reports the error.
type sendOnce struct{ next http.RoundTripper }

func (s sendOnce) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Method != http.MethodGet {
		r = r.WithContext(r.Context()) // a shallow copy: the original belongs to the caller
		r.GetBody = nil
		if r.Body == nil || r.Body == http.NoBody {
			r.Body = io.NopCloser(strings.NewReader(""))
		}
	}
	return s.next.RoundTrip(r)
}

// ServerPage returns one page of the project's servers that match the label selector ("" for all), by ID.
func (c *Client) ServerPage(ctx context.Context, selector string, page int) (Page[Server], Quota, error) {
	body, answer, err := get[schema.ServerListResponse](ctx, c, "/servers", listing(selector, page))
	return pageOf(answer, page, body.Servers, serverFrom, err)
}

// Server returns one server. A server that does not exist is an [*Error] with the code not_found.
func (c *Client) Server(ctx context.Context, id int64) (Server, Quota, error) {
	body, answer, err := get[schema.ServerGetResponse](ctx, c, path("servers", id), nil)
	if err == nil && body.Server.ID != id {
		err = answer.incomplete("the answer does not hold server %d", id)
	}
	return serverFrom(body.Server), answer.quota, err
}

// Actions returns the actions with these IDs, at most [ActionsPerLook]. One that Hetzner no longer knows is missing.
func (c *Client) Actions(ctx context.Context, ids []int64) ([]Action, Quota, error) {
	query := url.Values{}
	for _, id := range ids {
		query.Add("id", strconv.FormatInt(id, 10))
	}
	body, answer, err := get[schema.ActionListResponse](ctx, c, "/actions", query)
	if err == nil && body.Actions == nil {
		err = answer.incomplete("the answer holds no list of actions")
	}
	return convert(body.Actions, actionFrom), answer.quota, err
}

// ServerActions returns the newest actions of a server, at most one page of them: those with a status, or all for "".
func (c *Client) ServerActions(ctx context.Context, server int64, status string) ([]Action, Quota, error) {
	query := url.Values{"sort": {"id:desc"}, "per_page": {strconv.Itoa(PerPage)}}
	if status != "" {
		query.Set("status", status)
	}
	body, answer, err := get[schema.ActionListResponse](ctx, c, path("servers", server, "actions"), query)
	if err == nil && (body.Actions == nil || answer.pagination == nil) {
		err = answer.incomplete("the answer holds no list of actions")
	}
	return convert(body.Actions, actionFrom), answer.quota, err
}

// ImagePage returns one page of the project's snapshots that match the label selector, by ID.
func (c *Client) ImagePage(ctx context.Context, selector string, page int) (Page[Image], Quota, error) {
	query := listing(selector, page)
	query.Set("type", "snapshot")
	body, answer, err := get[schema.ImageListResponse](ctx, c, "/images", query)
	return pageOf(answer, page, body.Images, imageFrom, err)
}

// SnapshotPrice returns what a month of a snapshot costs.
func (c *Client) SnapshotPrice(ctx context.Context) (Price, Quota, error) {
	body, answer, err := get[schema.PricingGetResponse](ctx, c, "/pricing", nil)
	if err != nil {
		return Price{}, answer.quota, err
	}
	image := body.Pricing.Image.PricePerGBMonth
	net, netErr := strconv.ParseFloat(image.Net, 64)
	gross, grossErr := strconv.ParseFloat(image.Gross, 64)
	if body.Pricing.Currency == "" || netErr != nil || grossErr != nil {
		return Price{}, answer.quota, answer.incomplete("the price list names no price of snapshots")
	}
	return Price{Currency: body.Pricing.Currency, Net: net, Gross: gross}, answer.quota, nil
}

// path joins the parts of a URL path below the endpoint.
func path(parts ...any) string {
	var b strings.Builder
	for _, part := range parts {
		fmt.Fprintf(&b, "/%v", part)
	}
	return b.String()
}

func listing(selector string, page int) url.Values {
	query := url.Values{
		"page": {strconv.Itoa(page)}, "per_page": {strconv.Itoa(PerPage)},
		// In the order of their IDs new resources come last, so that they can't push others over a page's edge.
		"sort": {"id:asc"},
	}
	if selector != "" {
		query.Set("label_selector", selector)
	}
	return query
}

// answer is what came back with a body, beside it.
type answer struct {
	exchange   Exchange
	pagination *hcloud.Pagination
	quota      Quota
	date       time.Time // zero where the answer has none
}

// incomplete is the error for an answer that claims success and does not hold what it must.
func (a answer) incomplete(format string, args ...any) *Error {
	return &Error{
		Status: a.exchange.Status, Message: fmt.Sprintf(format, args...), Correlation: a.exchange.Correlation, Verdict: Lost,
	}
}

func get[Body any](ctx context.Context, c *Client, path string, query url.Values) (Body, answer, error) {
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	if len(query) > 0 {
		path += "?" + query.Encode()
	}
	return exchange[Body](ctx, c, http.MethodGet, path, nil)
}

func send[Body any](ctx context.Context, c *Client, method, path string, request any) (Body, answer, error) {
	ctx, cancel := context.WithTimeout(ctx, changeTimeout)
	defer cancel()
	return exchange[Body](ctx, c, method, path, request)
}

func exchange[Body any](ctx context.Context, c *Client, method, path string, request any) (Body, answer, error) {
	var body Body
	reader, err := encode(request)
	if err != nil {
		return body, answer{}, fmt.Errorf("encode the request %s %s: %w", method, path, err)
	}
	sent := newSendTrace()
	req, err := c.api.NewRequest(httptrace.WithClientTrace(ctx, sent.hooks()), method, path, reader)
	if err != nil {
		return body, answer{}, &Error{Message: c.mask.Hide(err.Error()), Verdict: Refused}
	}
	start := time.Now()
	var into any = &body
	if _, none := into.(*nothing); none {
		into = nil
	}
	resp, err := c.api.Do(req, into)
	a := answer{exchange: Exchange{Method: method, Path: path, Took: time.Since(start)}}
	if resp != nil && resp.Response != nil {
		a.exchange.Status = resp.StatusCode
		a.exchange.Correlation = c.mask.Hide(resp.Header.Get("X-Correlation-Id"))
		a.pagination = resp.Meta.Pagination
		a.date, _ = http.ParseTime(resp.Header.Get("Date"))
		if resp.Header.Get("RateLimit-Remaining") != "" {
			a.quota = Quota{Limit: resp.Meta.Ratelimit.Limit, Remaining: resp.Meta.Ratelimit.Remaining}
		}
	}
	switch {
	case err != nil:
		err = c.failure(a.exchange, err, sent)
	case a.exchange.Status/100 != 2:
		err = a.incomplete("unexpected HTTP status %d", a.exchange.Status)
	}
	a.exchange.Err = err
	c.observe(a.exchange)
	return body, a, err
}

// failure turns the library's error, which holds the request and with it the token, into one that can be shown.
func (c *Client) failure(x Exchange, err error, sent *sendTrace) *Error {
	e := &Error{
		Status: x.Status, Correlation: x.Correlation,
	}
	theirs, answered := errors.AsType[hcloud.Error](err)
	switch {
	case answered:
		e.Code, e.Message = c.mask.Hide(string(theirs.Code)), c.mask.Hide(theirs.Message)
		e.Message += c.mask.Hide(fieldDetails(theirs.Details))
	case x.Status/100 == 3:
		e.Message = fmt.Sprintf("unexpected HTTP status %d, a redirect, which is never followed", x.Status)
	default:
		e.Message = c.mask.Hide(networkMessage(err))
	}
	e.Verdict = verdict(e.Status, theirs.Code, sent.wasSent(err))
	return e
}

// fieldDetails tells which fields Hetzner found wrong; its message alone often says just "invalid input".
func fieldDetails(details any) string {
	invalid, ok := details.(hcloud.ErrorDetailsInvalidInput)
	if !ok {
		return ""
	}
	var b strings.Builder
	for _, field := range invalid.Fields {
		fmt.Fprintf(&b, "; %s: %s", field.Name, strings.Join(field.Messages, ", "))
	}
	return b.String()
}

// networkMessage drops what the request already says (method and URL) from a network error.
func networkMessage(err error) string {
	var e *url.Error
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return "no answer in time"
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF):
		return "the connection broke before the answer was complete"
	case errors.As(err, &e):
		return e.Err.Error()
	}
	return strings.TrimPrefix(err.Error(), "hcloud: ")
}

func convert[From, To any](from []From, f func(From) To) []To {
	to := make([]To, len(from))
	for i := range from {
		to[i] = f(from[i])
	}
	return to
}
