package gazetteer_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/dancefinder/gazetteer"
)

func TestSearch(t *testing.T) {
	t.Parallel()
	labels := func(text string, limit int) (labels []string) {
		for _, p := range gazetteer.Search(text, limit) {
			labels = append(labels, p.Label())
		}
		return labels
	}
	t.Run("the largest place that begins with the text is first", func(t *testing.T) {
		t.Parallel()
		require.Equal(t, "Malmö", labels("MAL", 5)[0])
		require.Equal(t, "Östersund", labels(" östers", 5)[0])
	})
	t.Run("a word within a name is found after those that begin with it", func(t *testing.T) {
		t.Parallel()
		require.Equal(t, []string{"Bromma", "Bro", "Bromölla", "Broby", "Norra Bro"}, labels("bro", 50))
	})
	t.Run("at most as many as asked for, none for nothing and for what is no place", func(t *testing.T) {
		t.Parallel()
		require.Len(t, labels("s", 7), 7)
		require.Empty(t, labels(" ", 7))
		require.Empty(t, labels("xqzw", 7))
		require.Empty(t, labels("mora", 0))
	})
	t.Run("every label leads back to its place", func(t *testing.T) {
		t.Parallel()
		for _, p := range gazetteer.Places() {
			found, ok := gazetteer.Resolve(p.Label())
			require.True(t, ok, p.Label())
			require.Equal(t, p, found)
		}
	})
	t.Run("a municipality without a place of its name is where it is governed from", func(t *testing.T) {
		t.Parallel()
		p, ok := gazetteer.Resolve("malung-sälen")
		require.True(t, ok)
		require.Equal(t, "Malung", p.Name)
		_, ok = gazetteer.Resolve("Atlantis")
		require.False(t, ok)
		_, ok = gazetteer.Resolve("Mora, Malmö")
		require.False(t, ok)
	})
}
