package hetzner

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/hetznercloud/hcloud-go/v2/hcloud"
)

// Verdict says what an answer to a request that changes something means. Success has no error, and so no verdict.
type Verdict int

const (
	// Lost means that the outcome is unknown: the request may have taken effect, may still, or never will.
	// It is the zero value, since taking a lost answer for a refusal costs a second snapshot.
	Lost Verdict = iota
	// NotSent means that the request found no connection, and can be sent as if for the first time.
	NotSent
	// NotNow means that Hetzner refused for now, and may accept the same request later.
	NotNow
	// Full means that Hetzner refused because a limit of the account is reached: of snapshots, servers or addresses.
	Full
	// Refused means that Hetzner refused for good.
	Refused
	// TokenRefused means that Hetzner refused the token, so that no further request makes sense.
	TokenRefused
)

func (v Verdict) String() string {
	return [...]string{"lost", "not sent", "refused now", "limit reached", "refused for good", "token refused"}[v]
}

// Error is one request's failure. Its text holds no token and no header.
type Error struct {
	Status      int    // HTTP status, 0 without an answer
	Code        string // Hetzner's error code, "" when the answer was not Hetzner's
	Message     string // Hetzner's message, or what happened instead
	Correlation string // the answer's X-Correlation-Id, which Hetzner's support asks for; often "", always without meaning
	Verdict     Verdict
	OfChange    bool // the request was to change something
}

// Error returns message, code and correlation ID in the form that Hetzner's own tools print.
func (e *Error) Error() string {
	if e.Code == "" && e.Correlation == "" {
		return e.Message
	}
	return fmt.Sprintf("%s (%s)", e.Message, strings.Trim(e.Code+", "+e.Correlation, ", "))
}

// AsError returns the *Error in err's chain, or one that only carries err's text.
func AsError(err error) *Error {
	if e, ok := errors.AsType[*Error](err); ok {
		return e
	}
	return &Error{Message: err.Error()}
}

// Later reports whether Hetzner may accept the same request later: it has refused it for now, or has never got it.
func (e *Error) Later() bool { return e.Verdict == NotNow || e.Verdict == NotSent }

// Unsettled reports whether a request may not have been carried out, and may be later: it was refused for now, never sent, or
// its answer is lost. One that does no harm when it is carried out twice is worth sending again then.
func (e *Error) Unsettled() bool { return e.Later() || e.Verdict == Lost }

// Final reports whether repeating a read can't help. That is so for a redirect, and for a refusal that is not Hetzner's: the
// endpoint is wrong, or a proxy is in the way. Two such statuses mean that it may work later.
func (e *Error) Final() bool {
	elsewhere := e.Code == "" && e.Status >= 300 && e.Status < 500
	passing := e.Status == http.StatusRequestTimeout || e.Status == http.StatusTooManyRequests
	return e.Verdict == TokenRefused || e.Verdict == Refused || elsewhere && !passing
}

// IsNotFound reports whether Hetzner knows no such resource.
func IsNotFound(err error) bool {
	e, ok := errors.AsType[*Error](err)
	return ok && e.Code == CodeNotFound
}

// IsLost reports whether a change may have taken effect although no answer says so.
func IsLost(err error) bool {
	e, ok := errors.AsType[*Error](err)
	return ok && e.Verdict == Lost
}

// The codes that callers ask for, in Hetzner's words.
const (
	CodeNotFound     = string(hcloud.ErrorCodeNotFound)
	CodeInvalidInput = string(hcloud.ErrorCodeInvalidInput)
	CodeMaintenance  = string(hcloud.ErrorCodeMaintenance)       // of the resource
	CodeRateLimit    = string(hcloud.ErrorCodeRateLimitExceeded) // the project's requests are used up
	CodeNoCapacity   = string(hcloud.ErrorCodeResourceUnavailable)
	CodeUniqueness   = string(hcloud.ErrorCodeUniquenessError) // something has this name already
)

// IsLocked reports whether an error's code and message mean a lock that goes away. An action that failed because of one
// has a code that says less, so the message counts; but a resource that is protected, or that only Hetzner's support
// unlocks, stays as it is whatever its message says.
func IsLocked(code, message string) bool {
	switch hcloud.ErrorCode(code) { //nolint:exhaustive // with every other code the message decides
	case hcloud.ErrorCodeLocked:
		return true
	case hcloud.ErrorCodeResourceLocked, hcloud.ErrorCodeProtected:
		return false
	}
	return strings.Contains(strings.ToLower(message), "is locked")
}

// verdict is the whole rule of what a failed change means. Only an error body of Hetzner's own with a status below
// 500 proves that nothing was done; a gateway's page, a 5xx and a broken connection prove nothing.
func verdict(status int, code hcloud.ErrorCode, sent bool) Verdict {
	switch {
	case !sent:
		return NotSent
	case code == "" || status < 400 || status >= 500:
		return Lost
	}
	switch code { //nolint:exhaustive // every other code is final
	case hcloud.ErrorCodeLocked, hcloud.ErrorCodeConflict, hcloud.ErrorCodeRateLimitExceeded,
		hcloud.ErrorCodeMaintenance, hcloud.ErrorCodeResourceUnavailable, hcloud.ErrorCodeServiceError:
		return NotNow
	case hcloud.ErrorCodeResourceLimitExceeded:
		return Full
	case hcloud.ErrorCodeUnauthorized, hcloud.ErrorCodeForbidden, "token_readonly":
		return TokenRefused
	}
	return Refused
}

// apiError is an error in Hetzner's own words; the zero value where an answer has none.
type apiError struct {
	Code    string          `json:"code"`
	Message string          `json:"message"`
	Details json.RawMessage `json:"details"`
}

// errorBody reads the error from an answer that came whole. The library reads it too, but loses all of it when the
// details are not what it expects, and a refusal would pass for a lost answer.
func errorBody(resp *hcloud.Response, err error) apiError {
	_, parsed := errors.AsType[hcloud.Error](err)
	whole := parsed || errors.Is(err, hcloud.ErrStatusCode)
	if !whole || !strings.HasPrefix(resp.Header.Get("Content-Type"), "application/json") {
		return apiError{}
	}
	var body struct {
		Error apiError `json:"error"`
	}
	text, err := io.ReadAll(resp.Body)
	if err != nil || json.Unmarshal(text, &body) != nil {
		return apiError{}
	}
	return body.Error
}

// fields returns which fields Hetzner found wrong; its message alone often says just "invalid input".
func (e apiError) fields() string {
	var details struct {
		Fields []struct {
			Name     string   `json:"name"`
			Messages []string `json:"messages"`
		} `json:"fields"`
	}
	if json.Unmarshal(e.Details, &details) != nil {
		return ""
	}
	var b strings.Builder
	for _, field := range details.Fields {
		fmt.Fprintf(&b, "; %s: %s", field.Name, strings.Join(field.Messages, ", "))
	}
	return b.String()
}
