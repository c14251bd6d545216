package secret_test

import (
	"strings"
	"testing"

	"github.com/org/hsnap-action/internal/secret"
)

const token = "LRK9DAWQ1ZAEFSrCNEEzLCUwhYX1U3g7wMg4dTlkkDC96fyDuyJ39nVbVjCKSDfj"

func TestHide(t *testing.T) {
	tests := []struct{ name, in, want string }{
		{"nothing to hide", "db-1: snapshot 4711 accepted", "db-1: snapshot 4711 accepted"},
		{"the whole token", "Bearer " + token + "!", "Bearer ***!"},
		{"its first six characters", "limit for token LRK9DA exceeded", "limit for token *** exceeded"},
		{"a part of its middle", "xUwhYX1U3gx", "x***x"},
		{"five characters stay", "LRK9D", "LRK9D"},
		{"twice", token + "," + token[:8], "***,***"},
		{"back to back", token + token, "******"},
		{"five characters are no token", "a passw b", "a passw b"},
		{"text before a part that looks alike", "LRK9DLRK9DA", "LRK9D***"},
	}
	m := secret.New(token, "", "passw")
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := m.Hide(tt.in); got != tt.want {
				t.Errorf("Hide(%q) = %q, want %q", tt.in, got, tt.want)
			}
		})
	}
	if got := (secret.Mask{}).Hide(token); got != token {
		t.Errorf("the zero Mask changed the text to %q", got)
	}
}

func FuzzHide(f *testing.F) {
	f.Add("text " + token[3:12] + " more")
	m := secret.New(token)
	f.Fuzz(func(t *testing.T, s string) {
		got := m.Hide(s)
		for i := range len(token) - 5 {
			if strings.Contains(got, token[i:i+6]) {
				t.Fatalf("Hide(%q) = %q still shows %q", s, got, token[i:i+6])
			}
		}
	})
}
