package action_test

import (
	"net/http"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/org/hsnap-action/internal/hcloudsim"
)

// GitHub kills a run 2.5 s after a SIGTERM, so a run that gets no other signal there must be over sooner. After a SIGINT,
// and on other platforms, a request in flight has time to be answered.
func TestTimeAfterASignal(t *testing.T) {
	for name, test := range map[string]struct {
		github      bool
		signal      syscall.Signal
		least, most time.Duration
	}{
		"SIGINT on GitHub":  {true, syscall.SIGINT, 3 * time.Second, 5 * time.Second},
		"SIGTERM on GitHub": {true, syscall.SIGTERM, 0, 2 * time.Second},
		"SIGTERM elsewhere": {false, syscall.SIGTERM, 3 * time.Second, 5 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, hcloudsim.Options{Seed: 1})
				w.cloud.AddServer(hcloudsim.Server{Name: "db-1"})
				w.cloud.Inject(hcloudsim.Fault{Kind: hcloudsim.Slow, Method: http.MethodPost, Delay: 20 * time.Second})
				w.inputs["servers"] = "db-1"
				if !test.github {
					w.env["GITHUB_ACTIONS"], w.env["CI"] = "", "woodpecker"
				}
				const cancelled = 10 * time.Second
				w.signals = []signalAt{{cancelled, test.signal}}
				r := w.run(t)
				if took := r.took - cancelled; r.code != 128+int(test.signal) || took < test.least || took > test.most {
					t.Errorf("exit %d after %s, want %s to %s\n%s", r.code, took, test.least, test.most, r.log)
				}
			})
		})
	}
}
