// Package job has the programs by which the user's code is counted: see the test of package
// layout. Its own test shows that they work.
package job
