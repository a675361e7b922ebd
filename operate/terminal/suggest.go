package terminal

import "strings"

// Suggest returns a question about the known word that is most like another one, or ""
// when none is.
func Suggest(word string, known []string, prefix string) string {
	word = strings.ToLower(word)
	nearest, least := "", 0
	for _, candidate := range known {
		far := distance(word, candidate)
		near := far <= max(1, len(candidate)/3) || len(word) > 2 && strings.HasPrefix(candidate, word)
		if near && (nearest == "" || far < least) {
			nearest, least = candidate, far
		}
	}
	if nearest == "" {
		return ""
	}
	return "; did you mean " + prefix + nearest + "?"
}

// distance counts the letters that have to be put in, left out, exchanged or swapped with the
// next one to make one word of the other.
func distance(a, b string) int {
	before, previous := []int(nil), make([]int, len(b)+1)
	for j := range previous {
		previous[j] = j
	}
	for i := range len(a) {
		row := make([]int, len(b)+1)
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			row[j+1] = min(previous[j]+cost, previous[j+1]+1, row[j]+1)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				row[j+1] = min(row[j+1], before[j-1]+1)
			}
		}
		before, previous = previous, row
	}
	return previous[len(b)]
}
