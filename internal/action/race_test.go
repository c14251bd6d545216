//go:build race

package action_test

// raced says that the race detector watches, which makes a run five times as slow. A race that 40 seeds of each kind do not
// show, 300 do not show either.
const raced = true
