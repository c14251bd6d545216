package hetzner_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/org/hsnap-action/internal/hetzner"
)

func page(number, next, total int, ids ...int64) hetzner.Page[hetzner.Image] {
	p := hetzner.Page[hetzner.Image]{Number: number, Next: next, Total: total}
	for _, id := range ids {
		p.Items = append(p.Items, hetzner.Image{ID: id})
	}
	return p
}

func TestListing(t *testing.T) {
	tests := []struct {
		name  string
		pages []hetzner.Page[hetzner.Image]
		want  []int64 // nil: the listing must not pass for whole
	}{
		{"one page", []hetzner.Page[hetzner.Image]{page(1, 0, 2, 1, 2)}, []int64{1, 2}},
		{"empty", []hetzner.Page[hetzner.Image]{page(1, 0, 0)}, []int64{}},
		{"two pages", []hetzner.Page[hetzner.Image]{page(1, 2, 3, 1, 2), page(2, 0, 3, 3)}, []int64{1, 2, 3}},
		{"total unknown", []hetzner.Page[hetzner.Image]{page(1, 2, -1, 1), page(2, 0, -1, 3)}, []int64{1, 3}},
		{"one slid onto the second page", []hetzner.Page[hetzner.Image]{page(1, 2, 2, 1, 2), page(2, 0, 3, 2, 3)}, []int64{1, 2, 3}},
		{"one slid away between the pages", []hetzner.Page[hetzner.Image]{page(1, 2, 4, 1, 2), page(2, 0, 4, 4)}, nil},
		{"the second page is missing", []hetzner.Page[hetzner.Image]{page(1, 2, 3, 1, 2)}, nil},
		{"the second page comes twice", []hetzner.Page[hetzner.Image]{page(1, 2, 3, 1, 2), page(1, 2, 3, 1, 2)}, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var l hetzner.Listing[hetzner.Image]
			whole := false
			for _, p := range tt.pages {
				var err error
				if whole, err = l.Add(p); err != nil && whole {
					t.Errorf("whole in spite of %v", err)
				}
			}
			if whole != (tt.want != nil) {
				t.Fatalf("whole = %t, want %t", whole, tt.want != nil)
			}
			if !whole {
				return
			}
			got := []int64{}
			for _, image := range l.Items {
				got = append(got, image.ID)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("IDs (-want +got):\n%s", diff)
			}
		})
	}
}

// A listing that names no next page, and yet a later last page, has lost one.
func TestLastPageNamesNoOther(t *testing.T) {
	for _, total := range []string{"null", "1"} {
		body := `{"images":[{"id":1}],"meta":{"pagination":{"page":1,"per_page":50,"previous_page":null,"next_page":null,"last_page":2,"total_entries":` + total + `}}}`
		if _, _, err := client(reply(200, body)).ImagePage(t.Context(), "", 1); err == nil {
			t.Errorf("page 1 of 2, of %s images, passes for the last", total)
		}
	}
}

func TestEndlessListing(t *testing.T) {
	var l hetzner.Listing[hetzner.Image]
	for number := 1; number <= 1000; number++ {
		if _, err := l.Add(page(number, number+1, -1, int64(number))); err != nil {
			if number < 200 {
				t.Errorf("page %d of a long listing is refused: %v", number, err)
			}
			return
		}
	}
	t.Error("a listing goes on for 1,000 pages")
}

// A page that failed, or came when another was due, costs the listing nothing that it has.
func TestFailedPageIsRequestedAgain(t *testing.T) {
	var l hetzner.Listing[hetzner.Image]
	if whole, err := l.Add(page(1, 2, 3, 1, 2)); whole || err != nil {
		t.Fatalf("whole %t, error %v", whole, err)
	}
	if _, _, err := client(reply(502, "")).ImagePage(t.Context(), "", l.Next()); err == nil {
		t.Fatal("the page did not fail")
	}
	if _, err := l.Add(page(1, 2, 3, 1, 2)); err == nil || l.Next() != 2 {
		t.Errorf("page 1 again: error %v, then page %d is next, want an error and 2", err, l.Next())
	}
	if whole, err := l.Add(page(l.Next(), 0, 3, 3)); !whole || err != nil || len(l.Items) != 3 {
		t.Errorf("whole %t with %d images, error %v; want all 3", whole, len(l.Items), err)
	}
}

// Deprecated images are left out unless asked for, and absence is a proof.
func TestImagePageAsksForDeprecatedImages(t *testing.T) {
	var query string
	c := client(func(r *http.Request) (*http.Response, error) {
		query = r.URL.RawQuery
		return reply(502, "")(r)
	})
	_, _, _ = c.ImagePage(t.Context(), "a=b", 3)
	if want := "include_deprecated=true&label_selector=a%3Db&page=3&per_page=50&sort=id%3Aasc&type=snapshot"; query != want {
		t.Errorf("query %s\nwant  %s", query, want)
	}
}

// Resources come with fields missing, null or new; none of that may cost the program its life.
func TestResources(t *testing.T) {
	body := `{"images":[{"id":1,"type":"snapshot","status":"unavailable","name":null,"description":"d","image_size":null,` +
		`"disk_size":40,"created":"2026-11-22T19:45:00Z","created_from":null,"bound_to":null,"labels":{"a":"b"},` +
		`"protection":{"delete":true},"deprecated":null,"deprecation":null,"new_field":{"x":[1]}},` +
		`{"id":2,"type":"snapshot","status":"available","image_size":14.199999809265137,"created":"2026-11-22T19:46:00+00:00","created_from":{"id":42,"name":"db-1"},"architecture":"arm","disk_size":80}],` +
		`"meta":{"pagination":{"page":1,"per_page":50,"previous_page":null,"next_page":null,"last_page":null,"total_entries":null}}}`
	got, _, err := client(reply(200, body, "Date", "Sun, 22 Nov 2026 19:47:00 GMT")).ImagePage(t.Context(), "", 1)
	if err != nil {
		t.Fatal(err)
	}
	want := hetzner.Page[hetzner.Image]{Number: 1, Total: -1, At: time.Date(2026, 11, 22, 19, 47, 0, 0, time.UTC), Items: []hetzner.Image{
		{ID: 1, Type: "snapshot", Status: "unavailable", Description: "d", Labels: map[string]string{"a": "b"},
			Created: time.Date(2026, 11, 22, 19, 45, 0, 0, time.UTC), DiskGB: 40, Protected: true},
		{ID: 2, Type: "snapshot", Status: "available", Created: time.Date(2026, 11, 22, 19, 46, 0, 0, time.UTC), CreatedFrom: 42, SizeGB: 14.2, DiskGB: 80, Architecture: "arm"},
	}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("page (-want +got):\n%s", diff)
	}
}

// A server whose next boot would not be from its disk must be told from one that boots as usual.
func TestNextBoot(t *testing.T) {
	const server = `{"server":{"id":42,"name":"db-1","status":"running","rescue_enabled":`
	tests := []struct {
		body   string
		rescue bool
		iso    string
	}{
		{`false,"iso":null}}`, false, ""},
		{`true,"iso":null}}`, true, ""},
		{`false,"iso":{"id":1,"name":"debian.iso","description":"Debian","type":"public"}}}`, false, "debian.iso"},
		{`false,"iso":{"id":1,"name":null,"description":"our own","type":"private"}}}`, false, "our own"},
		{`false,"iso":{}}}`, false, "unnamed"},
	}
	for _, tt := range tests {
		got, _, err := client(reply(200, server+tt.body)).Server(t.Context(), 42)
		want := hetzner.Server{ID: 42, Name: "db-1", Status: "running", RescueEnabled: tt.rescue, ISO: tt.iso}
		if diff := cmp.Diff(want, got); diff != "" || err != nil {
			t.Errorf("%s: error %v, server (-want +got):\n%s", tt.body, err, diff)
		}
	}
}

// What a server must have for an image, and the image that it runs from.
func TestServerForARebuild(t *testing.T) {
	body := `{"server":{"id":42,"name":"db-1","status":"off","image":{"id":7},"primary_disk_size":80,"server_type":{"architecture":"arm"},` +
		`"protection":{"delete":false,"rebuild":true}}}`
	got, _, err := client(reply(200, body)).Server(t.Context(), 42)
	want := hetzner.Server{ID: 42, Name: "db-1", Status: "off", ImageID: 7, DiskGB: 80, Architecture: "arm", RebuildProtected: true}
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("error %v, server (-want +got):\n%s", err, diff)
	}
}

func TestActions(t *testing.T) {
	body := `{"actions":[` +
		`{"id":1,"status":"running","command":"create_image","progress":7,"started":"2026-11-22T19:45:00Z","finished":null,"error":null},` +
		`{"id":2,"status":"success","finished":"2026-11-22T19:46:00Z","error":null},` +
		`{"id":3,"status":"error","error":{"code":"unknown_error","message":"server is locked"}},` +
		`{"id":4,"status":"error","error":null},` +
		`{"id":5,"status":"error","error":{"code":"unknown_error","message":""}}]}`
	got, _, err := client(reply(200, body)).Actions(t.Context(), []int64{1, 2, 3, 4, 5})
	if err != nil {
		t.Fatal(err)
	}
	want := []hetzner.Action{
		{ID: 1, Status: "running", Command: "create_image", Progress: 7, Started: time.Date(2026, 11, 22, 19, 45, 0, 0, time.UTC)},
		{ID: 2, Status: "success", Finished: time.Date(2026, 11, 22, 19, 46, 0, 0, time.UTC)},
		{ID: 3, Status: "error", ErrorCode: "unknown_error", ErrorMessage: "server is locked"},
		{ID: 4, Status: "error", ErrorMessage: "Hetzner gave no reason"},
		{ID: 5, Status: "error", ErrorCode: "unknown_error", ErrorMessage: "Hetzner gave no reason"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("actions (-want +got):\n%s", diff)
	}
}
