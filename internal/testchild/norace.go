//go:build !race

package testchild

const race = false
