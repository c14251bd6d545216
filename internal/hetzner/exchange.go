package hetzner

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/hetznercloud/hcloud-go/v2/hcloud"
)

// answer is what an answer says beside its body.
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

// check returns err and, where an answer claims success and does not hold what it must, the error for that.
func (a answer) check(err error, holds bool, format string, args ...any) error {
	if err == nil && !holds {
		return a.incomplete(format, args...)
	}
	return err
}

func get[Body any](ctx context.Context, c *Client, path string) (Body, answer, error) {
	return send[Body](ctx, c, http.MethodGet, path, nil)
}

// send sends one request and reads its answer. A Body of [bytes.Buffer] is filled with whatever text comes.
func send[Body any](ctx context.Context, c *Client, method, path string, content any) (Body, answer, error) {
	timeout := changeTimeout
	if method == http.MethodGet {
		timeout = pollTimeout
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	sent := &sendTrace{change: method != http.MethodGet, stop: stop}

	var body Body
	req, err := c.request(httptrace.WithClientTrace(ctx, sent.hooks()), method, path, content)
	if err != nil {
		return body, answer{}, &Error{Message: c.text(err.Error()), Verdict: Refused}
	}
	start := time.Now()
	resp, err := c.api.Do(req, &body)
	a := answer{exchange: Exchange{Method: method, Path: path, Took: time.Since(start)}}
	if resp != nil && resp.Response != nil {
		a.exchange.Status = resp.StatusCode
		a.exchange.Correlation = c.text(resp.Header.Get("X-Correlation-Id"))
		a.pagination = resp.Meta.Pagination
		a.date, _ = http.ParseTime(resp.Header.Get("Date"))
		if resp.Header.Get("RateLimit-Remaining") != "" {
			a.quota = Quota{Limit: resp.Meta.Ratelimit.Limit, Remaining: resp.Meta.Ratelimit.Remaining}
		}
	}
	if err != nil && errors.Is(context.Cause(ctx), errSecondAttempt) {
		err = errSecondAttempt // net/http may say no more than "context canceled"
	}
	switch {
	case err != nil:
		err = c.failure(a.exchange, errorBody(resp, err), err, sent)
	case a.exchange.Status/100 != 2:
		err = a.incomplete("unexpected HTTP status %d", a.exchange.Status)
	}
	a.exchange.Err = err
	c.observe(a.exchange)
	return body, a, err
}

// request returns a request with the content as JSON. Without content it leaves without a body.
func (c *Client) request(ctx context.Context, method, path string, content any) (*http.Request, error) {
	if content == nil {
		return c.api.NewRequest(ctx, method, path, nil)
	}
	text, err := json.Marshal(content)
	if err != nil {
		return nil, err
	}
	return c.api.NewRequest(ctx, method, path, bytes.NewReader(text))
}

// failure turns the library's error, which holds the request and with it the token, into one that can be shown.
func (c *Client) failure(x Exchange, theirs apiError, err error, sent *sendTrace) *Error {
	e := &Error{
		Status: x.Status, Code: c.text(theirs.Code), Correlation: x.Correlation,
		Verdict:  verdict(x.Status, hcloud.ErrorCode(theirs.Code), sent.wasSent(err)),
		OfChange: sent.change,
	}
	switch {
	case theirs.Code != "" || theirs.Message != "":
		e.Message = c.text(theirs.Message + theirs.fields())
	case x.Status/100 == 3:
		e.Message = fmt.Sprintf("unexpected HTTP status %d, a redirect, which is never followed", x.Status)
	default:
		e.Message = c.text(networkMessage(err))
	}
	return e
}

// networkMessage drops what the request already says (method and URL) from a network error.
func networkMessage(err error) string {
	e, inRequest := errors.AsType[*url.Error](err)
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return "no answer in time"
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF):
		return "the connection broke before the answer was complete"
	case strings.Contains(err.Error(), "GetBody"): // net/http's advice to programmers on how to send a body again
		return errSecondAttempt.Error()
	case inRequest:
		return e.Err.Error()
	}
	return strings.TrimPrefix(err.Error(), "hcloud: ")
}

// maxText is how many characters of a text from outside are kept.
const maxText = 2000

// text makes a text from outside fit to be shown: without the token, and not too long.
func (c *Client) text(s string) string {
	s = c.mask.Hide(s)
	if utf8.RuneCountInString(s) > maxText {
		s = string([]rune(s)[:maxText-1]) + "…"
	}
	return s
}

func convert[From, To any](from []From, f func(From) To) []To {
	to := make([]To, len(from))
	for i := range from {
		to[i] = f(from[i])
	}
	return to
}
