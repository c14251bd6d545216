package fleet

import (
	"context"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/org/hsnap-action/internal/hetzner"
)

// answering is an API that answers each request with a status and a body.
type answering func(*http.Request) (int, string)

func (f answering) RoundTrip(r *http.Request) (*http.Response, error) {
	status, body := f(r)
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	header := http.Header{"Content-Type": {"application/json"}}
	return &http.Response{StatusCode: status, Header: header, Body: io.NopCloser(strings.NewReader(body)), Request: r}, nil
}

// showing answers with server 1 in a status.
func showing(status string) (int, string) {
	return http.StatusOK, fmt.Sprintf(`{"server":{"id":1,"name":"db-1","status":%q}}`, status)
}

// inBubble runs a fleet in virtual time, with the scripts that prepare starts.
func inBubble(t *testing.T, api answering, prepare func(f *Fleet, signals chan<- os.Signal)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		signals := make(chan os.Signal, 2)
		client := hetzner.New(hetzner.Options{Endpoint: "https://api.example/v1", Token: "a token", Transport: api})
		f := New(Options{API: client, Signals: signals})
		prepare(f, signals)
		f.Run(t.Context())
	})
}

func TestPollSaysNothingToWhoAsksLater(t *testing.T) {
	polls := 0
	slow := func(*http.Request) (int, string) {
		if polls++; polls == 1 {
			time.Sleep(5 * time.Second)
			return showing("running")
		}
		return showing("off")
	}
	inBubble(t, slow, func(f *Fleet, _ chan<- os.Signal) {
		began := f.Now()
		f.Go(func(s *Script) {
			if seen, err := s.Watch(Server(1)).Next(0, time.Time{}); err != nil || seen.Server.Status != "running" || !seen.Began.Equal(began) {
				t.Errorf("the first script was shown %+v, %v", seen, err)
			}
		})
		f.Go(func(s *Script) {
			_ = s.Sleep(began.Add(time.Second))
			if seen, err := s.Watch(Server(1)).Next(0, time.Time{}); err != nil || seen.Server.Status != "off" || seen.Began.Before(began.Add(time.Second)) {
				t.Errorf("the second script was shown %+v, %v", seen, err)
			}
		})
	})
}

// A poll that begins after the limit decides, even if it is the only one.
func TestNoLimitEndsAWatchUnseen(t *testing.T) {
	for _, pause := range []time.Duration{4 * time.Second, time.Hour} {
		slow := func(*http.Request) (int, string) {
			time.Sleep(3 * time.Second)
			return showing("running")
		}
		inBubble(t, slow, func(f *Fleet, _ chan<- os.Signal) {
			limit := f.Now().Add(10 * time.Second)
			f.Go(func(s *Script) {
				var last Seen
				watch := s.Watch(Server(1))
				seen, err := watch.Next(pause, limit)
				for ; err == nil; seen, err = watch.Next(pause, limit) {
					last = seen
				}
				if !errors.Is(err, ErrTimeout) || last.Server == nil || last.Began.Before(limit) || s.Now().After(limit.Add(lastPollGrace)) {
					t.Errorf("the watch ended with %v at %s after a poll at %s, the limit was %s", err, s.Now(), last.Began, limit)
				}
			})
		})
	}
}

// Where no poll is answered the limit ends a watch all the same, 5 s late.
func TestLimitOfAWatchWithoutAnswers(t *testing.T) {
	fails := func(*http.Request) (int, string) { return http.StatusBadGateway, "" }
	inBubble(t, fails, func(f *Fleet, _ chan<- os.Signal) {
		end := f.Now().Add(15 * time.Second)
		f.Go(func(s *Script) {
			if _, err := s.Watch(Server(1)).Next(0, f.Now().Add(10*time.Second)); !errors.Is(err, ErrTimeout) || !s.Now().Equal(end) {
				t.Errorf("the watch ended with %v at %s, want %s", err, s.Now(), end)
			}
		})
	})
}

func TestListingIsContinuedAfterAFailure(t *testing.T) {
	var pages []string
	api := func(r *http.Request) (int, string) {
		pages = append(pages, r.URL.Query().Get("page"))
		switch {
		case pages[len(pages)-1] == "1":
			return http.StatusOK, `{"images":[{"id":11,"labels":{"series":"nightly"}}],"meta":{"pagination":{"page":1,"next_page":2,"last_page":2,"total_entries":2}}}`
		case len(pages) == 2:
			return http.StatusBadGateway, ""
		}
		return http.StatusOK, `{"images":[{"id":12,"labels":{"series":"nightly"}}],"meta":{"pagination":{"page":2,"last_page":2,"total_entries":2}}}`
	}
	inBubble(t, api, func(f *Fleet, _ chan<- os.Signal) {
		began := f.Now()
		f.Go(func(s *Script) {
			seen, err := s.Watch(Images("series", "nightly", "")).Next(0, time.Time{})
			if err != nil || len(seen.Images) != 2 || !seen.Began.Equal(began) || !slices.Equal(pages, []string{"1", "2", "2"}) {
				t.Errorf("pages %s were asked for, and showed %+v, %v", pages, seen, err)
			}
			if took := s.Now().Sub(began); took > 10*time.Second {
				t.Errorf("that took %s", took)
			}
		})
	})
}

// How each kind of wait ends when the run is cancelled: it is over in 5 s.
func TestCancel(t *testing.T) {
	hangs := func(r *http.Request) (int, string) {
		if r.Method == http.MethodPost {
			<-r.Context().Done()
		}
		return showing("running")
	}
	powerOn := func(f *Fleet) Request {
		return func(ctx context.Context) (hetzner.Quota, error) {
			_, quota, err := f.o.API.PowerOn(ctx, 1)
			return quota, err
		}
	}
	isLost := func(err error) bool { return err != nil && hetzner.AsError(err).Verdict == hetzner.Lost }
	isCancelled := func(err error) bool { return errors.Is(err, ErrCancelled) }
	for name, test := range map[string]struct {
		patient bool
		wait    func(*Script) error
		ended   func(error) bool
		after   time.Duration
	}{
		"a wait":         {false, func(s *Script) error { return s.Until(func() bool { return false }, time.Time{}) }, isCancelled, 0},
		"a patient wait": {true, func(s *Script) error { return s.Until(func() bool { return false }, time.Time{}) }, isCancelled, cancelLimit},
		"an answer":      {false, func(s *Script) error { return s.Send(powerOn(s.Fleet)) }, isLost, answerGrace},
		"a patient one":  {true, func(s *Script) error { return s.Send(powerOn(s.Fleet)) }, isLost, answerGrace},
		"one asked for at the end": {true, func(s *Script) error {
			_ = s.Until(s.Cancelled, time.Time{})
			return s.Send(powerOn(s.Fleet))
		}, isLost, cancelLimit},
		"a watch":                  {false, func(s *Script) error { return watchTwice(s.Watch(Server(1))) }, isCancelled, 0},
		"the last poll of a watch": {false, func(s *Script) error { return watchTwice(s.Watch(Server(1)).Lasting()) }, func(err error) bool { return err == nil }, 0},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, hangs, func(f *Fleet, signals chan<- os.Signal) {
				cancel := f.Now().Add(20 * time.Second)
				time.AfterFunc(20*time.Second, func() { signals <- os.Interrupt })
				run := func(s *Script) {
					if err := test.wait(s); !test.ended(err) || s.Now().Sub(cancel) != test.after {
						t.Errorf("it ended with %v, %s after the cancel", err, s.Now().Sub(cancel))
					}
				}
				if test.patient {
					f.GoPatient(run)
				} else {
					f.Go(run)
				}
			})
		})
	}
}

// watchTwice polls at once and an hour later.
func watchTwice(w *Watch) error {
	if _, err := w.Next(0, time.Time{}); err != nil {
		return err
	}
	_, err := w.Next(time.Hour, time.Time{})
	return err
}

// A second signal ends every wait at once, and leaves no goroutine.
func TestSecondSignal(t *testing.T) {
	hangs := func(r *http.Request) (int, string) {
		<-r.Context().Done()
		return http.StatusOK, ""
	}
	inBubble(t, hangs, func(f *Fleet, signals chan<- os.Signal) {
		end := f.Now().Add(2 * time.Second)
		time.AfterFunc(time.Second, func() { signals <- os.Interrupt })
		time.AfterFunc(2*time.Second, func() { signals <- os.Interrupt })
		f.GoPatient(func(s *Script) {
			if _, err := s.Watch(Server(1)).Next(0, time.Time{}); !errors.Is(err, ErrCancelled) || !s.Now().Equal(end) {
				t.Errorf("it ended with %v at %s, want %s", err, s.Now(), end)
			}
		})
	})
}

// Slots are taken in the order in which scripts asked, and not before they open.
func TestSlots(t *testing.T) {
	var order []string
	inBubble(t, nil, func(f *Fleet, _ chan<- os.Signal) {
		start, slots := f.Now(), NewSlots(1)
		for i := range 3 {
			f.Go(func(s *Script) {
				if err := s.Take(slots, nil); err != nil {
					t.Error(err)
				}
				order = append(order, fmt.Sprintf("%d after %s", i, s.Now().Sub(start)))
				_ = s.Sleep(s.Now().Add(time.Second))
				slots.Close(s.Now().Add(time.Minute))
				slots.Give()
			})
		}
	})
	if want := []string{"0 after 0s", "1 after 1m1s", "2 after 2m2s"}; !slices.Equal(order, want) {
		t.Errorf("they were taken: %s, want %s", order, want)
	}
}

// Nearly every fault of a script is a wait that has forgotten one of its ends: only the two primitives park a script.
func TestOnlyThePrimitivesPark(t *testing.T) {
	want := map[string][]string{"yield": {"Go", "park"}, "park": {"answer", "until"}} // Go is where it comes from
	got := map[string][]string{}
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, decl := range file.Decls {
			ast.Inspect(decl, func(n ast.Node) bool {
				if used, ok := n.(*ast.SelectorExpr); ok && want[used.Sel.Name] != nil {
					function, _ := decl.(*ast.FuncDecl)
					got[used.Sel.Name] = append(got[used.Sel.Name], function.Name.Name)
				}
				return true
			})
		}
	}
	for used, functions := range want {
		slices.Sort(got[used])
		if !slices.Equal(got[used], functions) {
			t.Errorf("%s is used by %s, want %s", used, got[used], functions)
		}
	}
}

// However many scripts poll, and in whichever way, each of them sees something now and then.
func TestPollsTakeTurns(t *testing.T) {
	const scripts, length = 12, 20 * time.Minute
	polls := map[string]int{}
	count := func(r *http.Request) (int, string) {
		polls[r.URL.Path]++
		return http.StatusOK, fmt.Sprintf(`{"server":{"id":%s,"status":"off"}}`, filepath.Base(r.URL.Path))
	}
	inBubble(t, count, func(f *Fleet, _ chan<- os.Signal) {
		end := f.Now().Add(length)
		for id := int64(1); id <= scripts; id++ {
			f.Go(func(s *Script) {
				for watch := s.Watch(Server(id)); s.Now().Before(end); {
					if id%2 == 0 {
						_, _ = watch.Next(3*time.Second, time.Time{})
						continue
					}
					_ = s.Poll(func(ctx context.Context) (hetzner.Quota, error) {
						_, quota, err := s.o.API.Server(ctx, id)
						return quota, err
					})
					_ = s.Sleep(s.Now().Add(3 * time.Second))
				}
			})
		}
	})
	all := 0
	for _, n := range polls {
		all += n
	}
	for id := 1; id <= scripts; id++ {
		if n := polls[fmt.Sprintf("/v1/servers/%d", id)]; n < all/scripts/2 {
			t.Errorf("server %d was polled %d times, of %d", id, n, all)
		}
	}
}
