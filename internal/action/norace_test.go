//go:build !race

package action_test

const raced = false
