// Package hetzner sends requests to the Hetzner Cloud API and says what the answers mean.
//
// Every method of [Client] sends one request. Reads (a page of servers, some actions, a price) return whole answers or
// an error: half an answer is never returned as if it were all. Changes (create a snapshot, switch a server on, delete
// an image) fail with an [*Error] whose [Verdict] says what is known: whether Hetzner refused, the request was never
// sent, or its outcome is unknown.
//
// The package never sends a change twice, and keeps net/http and Hetzner's library from doing so. It never follows a
// redirect, and never waits between two requests: whoever calls it decides when to poll and what to retry. Messages and
// codes from outside are returned without the API token, and cut where they are too long.
package hetzner

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/hetznercloud/hcloud-go/v2/hcloud"
	"github.com/hetznercloud/hcloud-go/v2/hcloud/metadata"
	"github.com/hetznercloud/hcloud-go/v2/hcloud/schema"

	"github.com/org/hsnap-action/internal/secret"
)

const (
	// PerPage is the most that Hetzner lists on one page.
	PerPage = 50
	// ActionsPerPoll is the most action IDs that Hetzner answers reliably in one request.
	ActionsPerPoll = 25

	pollTimeout   = 10 * time.Second
	changeTimeout = 60 * time.Second
)

// Client sends requests to one project of Hetzner Cloud. It is safe for concurrent use.
type Client struct {
	api      *hcloud.Client
	metadata *metadata.Client
	mask     secret.Mask
	observe  func(Exchange)
}

// Options configures a [Client]. Endpoint (the base URL with /v1), Token and Transport are required.
type Options struct {
	Endpoint  string
	Token     string
	Version   string // of this program, for the User-Agent
	Transport http.RoundTripper
	Mask      secret.Mask
	Observe   func(Exchange) // called after every request, from many goroutines; may be nil
}

// Exchange is one request and its outcome, for a debug log. It holds no header and no body.
type Exchange struct {
	Method, Path string
	Status       int // 0 without an answer
	Took         time.Duration
	Correlation  string
	Err          error // nil, or an [*Error]
}

// Quota is the project's rate limit as the answer gave it; zero where it gave none.
type Quota struct {
	Limit, Remaining int
}

// Low reports whether less than a tenth of the project's requests is left.
func (q Quota) Low() bool { return q.Limit > 0 && q.Remaining*10 < q.Limit }

// New returns a client. It sends nothing.
func New(o Options) *Client {
	observe := o.Observe
	if observe == nil {
		observe = func(Exchange) {}
	}
	// A 307 or 308 would repeat the request, body and token included, wherever it points.
	noRedirect := func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &Client{
		metadata: metadata.NewClient(
			metadata.WithHTTPClient(&http.Client{Transport: o.Transport, CheckRedirect: noRedirect}),
			metadata.WithTimeout(time.Second),
		),
		mask:    o.Mask,
		observe: observe,
		api: hcloud.NewClient(
			hcloud.WithEndpoint(o.Endpoint),
			hcloud.WithToken(o.Token),
			hcloud.WithApplication("hsnap-action", o.Version),
			// The caller alone retries: a retry of the library could be a second snapshot, or a minute in which no
			// other server is polled.
			hcloud.WithRetryOpts(hcloud.RetryOpts{MaxRetries: 0}),
			hcloud.WithHTTPClient(&http.Client{Transport: sendOnce{o.Transport}, CheckRedirect: noRedirect}),
		),
	}
}

// NewTransport returns a transport for the real network. It differs from [http.DefaultTransport] in noticing within
// seconds that a kept connection has died: a NAT gateway on the way forgets a quiet one within minutes, and every
// poll on it would otherwise run into its timeout.
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

// ServerPage returns one page of the project's servers that match the label selector ("" for all), by ID.
func (c *Client) ServerPage(ctx context.Context, selector string, page int) (Page[Server], Quota, error) {
	body, answer, err := get[schema.ServerListResponse](ctx, c, "/servers?"+listing(selector, page).Encode())
	return pageOf(answer, page, body.Servers, serverFrom, err)
}

// Server returns one server. A server that does not exist is an [*Error] with the code not_found.
func (c *Client) Server(ctx context.Context, id int64) (Server, Quota, error) {
	body, answer, err := get[schema.ServerGetResponse](ctx, c, fmt.Sprintf("/servers/%d", id))
	return serverFrom(body.Server), answer.quota, answer.check(err, body.Server.ID == id, "the answer does not hold server %d", id)
}

// Actions returns the actions with these IDs, at most [ActionsPerPoll]. One that Hetzner no longer knows is missing.
func (c *Client) Actions(ctx context.Context, ids []int64) ([]Action, Quota, error) {
	query := url.Values{}
	for _, id := range ids {
		query.Add("id", strconv.FormatInt(id, 10))
	}
	body, answer, err := get[schema.ActionListResponse](ctx, c, "/actions?"+query.Encode())
	err = answer.check(err, body.Actions != nil, "the answer holds no list of actions")
	return convert(body.Actions, c.actionFrom), answer.quota, err
}

// ServerActions returns the newest actions of a server, at most one page of them: those with a status, or all for "".
func (c *Client) ServerActions(ctx context.Context, server int64, status string) ([]Action, Quota, error) {
	query := url.Values{"sort": {"id:desc"}, "per_page": {strconv.Itoa(PerPage)}}
	if status != "" {
		query.Set("status", status)
	}
	body, answer, err := get[schema.ActionListResponse](ctx, c, fmt.Sprintf("/servers/%d/actions?%s", server, query.Encode()))
	err = answer.check(err, body.Actions != nil && answer.pagination != nil, "the answer holds no list of actions")
	return convert(body.Actions, c.actionFrom), answer.quota, err
}

// ImagePage returns one page of the project's snapshots that match the label selector, by ID. Deprecated ones are among
// them: Hetzner leaves those out unless asked, and a snapshot that is missing from a listing must be one that does not exist.
func (c *Client) ImagePage(ctx context.Context, selector string, page int) (Page[Image], Quota, error) {
	query := listing(selector, page)
	query.Set("type", "snapshot")
	query.Set("include_deprecated", "true")
	body, answer, err := get[schema.ImageListResponse](ctx, c, "/images?"+query.Encode())
	return pageOf(answer, page, body.Images, imageFrom, err)
}

// Image returns one image. One that does not exist is an [*Error] with the code not_found.
func (c *Client) Image(ctx context.Context, id int64) (Image, Quota, error) {
	body, answer, err := get[schema.ImageGetResponse](ctx, c, fmt.Sprintf("/images/%d", id))
	return imageFrom(body.Image), answer.quota, answer.check(err, body.Image.ID == id, "the answer does not hold image %d", id)
}

// Prices returns what snapshots and primary IPs cost.
func (c *Client) Prices(ctx context.Context) (Price, Quota, error) {
	body, answer, err := get[schema.PricingGetResponse](ctx, c, "/pricing")
	list := body.Pricing
	price := Price{Currency: list.Currency, Addresses: map[string]map[string]float64{}}
	var netErr, grossErr error
	price.Net, netErr = strconv.ParseFloat(list.Image.PricePerGBMonth.Net, 64)
	price.Gross, grossErr = strconv.ParseFloat(list.Image.PricePerGBMonth.Gross, 64)
	for _, kind := range list.PrimaryIPs {
		price.Addresses[kind.Type] = map[string]float64{}
		for _, p := range kind.Prices {
			if gross, err := strconv.ParseFloat(p.PriceHourly.Gross, 64); err == nil {
				price.Addresses[kind.Type][p.Location] = gross
			}
		}
	}
	known := list.Currency != "" && netErr == nil && grossErr == nil
	err = answer.check(err, known, "the price list names no price of snapshots")
	if err != nil {
		return Price{}, answer.quota, err
	}
	return price, answer.quota, nil
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
