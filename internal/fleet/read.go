package fleet

import (
	"context"

	"github.com/org/hsnap-action/internal/hetzner"
)

// Read sends a read by [Script.Send] or [Script.Poll], and returns what came. After an error that is the zero value, and
// stays so: the request may still be under way then.
func Read[T any](send func(Request) error, read func(context.Context) (T, hetzner.Quota, error)) (T, error) {
	var came, nothing T
	err := send(func(ctx context.Context) (quota hetzner.Quota, err error) {
		came, quota, err = read(ctx)
		return quota, err
	})
	if err != nil {
		return nothing, err
	}
	return came, nil
}
