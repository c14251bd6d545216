package hcloudsim

import (
	"cmp"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

const (
	defaultPerPage = 25
	maxPerPage     = 50
)

// fieldErrors collects what is wrong with query parameters or the fields of a
// body, so that one answer names all of it.
type fieldErrors []fieldError

type fieldError struct {
	Name     string   `json:"name"`
	Messages []string `json:"messages"`
}

func (e *fieldErrors) add(name string, messages ...string) {
	*e = append(*e, fieldError{Name: name, Messages: messages})
}

// query reads the query parameters of a listing.
type query struct {
	values url.Values
	errs   fieldErrors
}

func (q *query) number(name string, preset, limit int) int {
	if !q.values.Has(name) {
		return preset
	}
	n, err := strconv.Atoi(q.values.Get(name))
	if err != nil || n < 1 || n > limit {
		q.errs.add(name, fmt.Sprintf("must be a number between 1 and %d", limit))
		return preset
	}
	return n
}

// oneOf reads a repeatable parameter whose values are of a fixed set, and
// returns a filter; without the parameter everything passes.
func (q *query) oneOf(name string, allowed ...string) func(string) bool {
	wanted := q.values[name]
	for _, v := range wanted {
		if !slices.Contains(allowed, v) {
			q.errs.add(name, fmt.Sprintf("must be one of %s", strings.Join(allowed, ", ")))
			break
		}
	}
	return func(v string) bool { return len(wanted) == 0 || slices.Contains(wanted, v) }
}

func (q *query) ids(name string) []int64 {
	var ids []int64
	for _, v := range q.values[name] {
		id, ok := parseID(v)
		if !ok {
			q.errs.add(name, "must be a number")
			break
		}
		ids = append(ids, id)
	}
	return ids
}

func (q *query) selector() selector {
	sel, err := parseSelector(q.values.Get("label_selector"))
	if err != nil {
		q.errs.add("label_selector", err.Error())
	}
	return sel
}

// parseID parses an ID as the API has them: above zero and below 2^53.
func parseID(s string) (int64, bool) {
	id, err := strconv.ParseInt(s, 10, 64)
	return id, err == nil && 1 <= id && id < 1<<53
}

// orders maps the names of sort fields to comparisons.
type orders[T any] map[string]func(a, b T) int

// sortBy sorts items, which are in the order of their IDs, as the sort
// parameters want it. Equal items stay in that order.
func sortBy[T any](q *query, items []T, by orders[T]) {
	var chain []func(a, b T) int
	for _, v := range q.values["sort"] {
		field, direction, _ := strings.Cut(v, ":")
		compare, ok := by[field]
		if !ok || direction != "" && direction != "asc" && direction != "desc" || strings.HasSuffix(v, ":") {
			q.errs.add("sort", fmt.Sprintf("cannot sort by %q", v))
			return
		}
		if direction == "desc" {
			ascending := compare
			compare = func(a, b T) int { return ascending(b, a) }
		}
		chain = append(chain, compare)
	}
	slices.SortStableFunc(items, func(a, b T) int {
		for _, compare := range chain {
			if c := compare(a, b); c != 0 {
				return c
			}
		}
		return 0
	})
}

// by compares by a key of the items.
func by[T any, K cmp.Ordered](key func(T) K) func(a, b T) int {
	return func(a, b T) int { return cmp.Compare(key(a), key(b)) }
}

// pagination has null where schema.MetaPagination has zero.
type pagination struct {
	Page         int  `json:"page"`
	PerPage      int  `json:"per_page"`
	PreviousPage *int `json:"previous_page"`
	NextPage     *int `json:"next_page"`
	LastPage     *int `json:"last_page"`
	TotalEntries *int `json:"total_entries"`
}

// list answers a page of the items, shown by show.
func list[T, J any](c *call, key string, items []T, show func(T) J) reply {
	q := &c.query
	page := q.number("page", 1, 1<<31)
	perPage := q.number("per_page", defaultPerPage, maxPerPage)
	if q.errs != nil {
		return invalid(q.errs)
	}
	shift := 0
	if c.fault.Kind == ShiftedPage && page > 1 {
		shift = cmp.Or(c.fault.Shift, -1)
	}
	total := max(0, len(items)-shift)
	first := min(max(0, (page-1)*perPage+shift), len(items))
	last := min(first+perPage, len(items))

	shown := make([]J, 0, last-first)
	for _, item := range items[first:last] {
		shown = append(shown, show(item))
	}
	pages := max(1, (total+perPage-1)/perPage)
	meta := pagination{Page: page, PerPage: perPage}
	if c.fault.Kind != UnknownTotal {
		meta.LastPage, meta.TotalEntries = &pages, &total
	}
	if page > 1 {
		meta.PreviousPage = new(page - 1)
	}
	if page < pages {
		meta.NextPage = new(page + 1)
	}
	r := answer(http.StatusOK, map[string]any{key: shown, "meta": map[string]any{"pagination": meta}})
	r.header.Set("Link", linkHeader(c.ex, meta))
	return r
}

// linkHeader links the neighbours of a page in the form of RFC 8288.
func linkHeader(ex *exchange, meta pagination) string {
	var links []string
	add := func(rel string, page int) {
		values := cloneValues(ex.query)
		values.Set("page", strconv.Itoa(page))
		values.Set("per_page", strconv.Itoa(meta.PerPage))
		links = append(links, fmt.Sprintf("<%s/v1%s?%s>; rel=%q", ex.base, ex.Path, values.Encode(), rel))
	}
	if meta.PreviousPage != nil {
		add("prev", *meta.PreviousPage)
	}
	if meta.NextPage != nil {
		add("next", *meta.NextPage)
	}
	if meta.LastPage != nil {
		add("last", *meta.LastPage)
	}
	return strings.Join(links, ", ")
}

func cloneValues(v url.Values) url.Values {
	clone := url.Values{}
	for k, vs := range v {
		clone[k] = slices.Clone(vs)
	}
	return clone
}
