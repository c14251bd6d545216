package hcloudsim

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestDamagedPages(t *testing.T) {
	c := New(Options{})
	for i := range 5 {
		c.AddServer(Server{ID: int64(i + 1)})
	}
	h := newClient(t, c)
	pages := func() (all [][]int64, totals []int) {
		for page := range 3 {
			g := h.must("GET", fmt.Sprintf("/servers?per_page=2&page=%d", page+1), "")
			all = append(all, serverIDs(g))
			if g.Meta.Pagination != nil && g.Meta.Pagination.TotalEntries != nil {
				totals = append(totals, *g.Meta.Pagination.TotalEntries)
			}
		}
		return all, totals
	}
	for _, tt := range []struct {
		fault  Fault
		pages  [][]int64
		totals []int
	}{
		{Fault{Kind: ShiftedPage, Times: 3}, [][]int64{{1, 2}, {2, 3}, {4, 5}}, []int{5, 6, 6}},
		{Fault{Kind: ShiftedPage, Times: 3, Shift: 1}, [][]int64{{1, 2}, {4, 5}, nil}, []int{5, 4, 4}},
		{Fault{Kind: NoPagination, Times: 3}, [][]int64{{1, 2}, {3, 4}, {5}}, nil},
		{Fault{Kind: UnknownTotal, Times: 3}, [][]int64{{1, 2}, {3, 4}, {5}}, nil},
	} {
		c.Inject(tt.fault)
		all, totals := pages()
		if diff := cmp.Diff(tt.pages, all); diff != "" {
			t.Errorf("%v: %s", tt.fault.Kind, diff)
		}
		if diff := cmp.Diff(tt.totals, totals); diff != "" {
			t.Errorf("%v: totals %s", tt.fault.Kind, diff)
		}
	}
}

func TestUnknownTotal(t *testing.T) {
	c := New(Options{})
	c.AddServer(Server{ID: 1})
	c.AddServer(Server{ID: 2})
	c.Inject(Fault{Kind: UnknownTotal})
	g := newClient(t, c).must("GET", "/servers?per_page=1", "")
	want := `"pagination":{"page":1,"per_page":1,"previous_page":null,"next_page":2,"last_page":null,"total_entries":null}`
	if !strings.Contains(g.Raw, want) || strings.Contains(g.Header.Get("Link"), "last") {
		t.Errorf("link %q, want %s in %s", g.Header.Get("Link"), want, g.Raw)
	}
}
