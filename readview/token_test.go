package readview_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/eventsourced/pgstore"
	"github.com/dancefinder/eventsourcing/readview"
)

func TestConsistencyToken(t *testing.T) {
	t.Parallel()
	b := newBank(t)
	manager, _ := b.manager(fast(), balances())
	position := b.deposit(2)
	c := b.consistency(manager, b.pool, time.Second)
	token := c.Token(position)

	t.Run("is its position on every node, and in a copy of the log", func(t *testing.T) {
		t.Parallel()
		require.Regexp(t, `^[A-Za-z0-9_-]{76}$`, token)
		store := pgstore.New(b.pool, registry(), pgstore.Config{})
		t.Cleanup(store.Close)
		other, err := readview.NewManager(newRouter(t), store, b.pool, fast())
		require.NoError(t, err)
		got, err := b.consistency(other, b.pool, time.Second).Verify(t.Context(), token)
		require.NoError(t, err)
		require.Equal(t, position, got)
	})
	t.Run("is refused when it was changed anywhere", func(t *testing.T) {
		t.Parallel()
		for i := range token {
			for _, letter := range []string{"A", "z", "_"} {
				if changed := token[:i] + letter + token[i+1:]; changed != token {
					_, err := c.Verify(t.Context(), changed)
					require.ErrorIs(t, err, readview.ErrTokenForged, changed)
				}
			}
		}
	})
	t.Run("is refused when it is none", func(t *testing.T) {
		t.Parallel()
		for name, text := range map[string]string{
			"empty":                "",
			"cut":                  token[:75],
			"longer":               token + "A",
			"padded":               token + "==",
			"with a line break":    token[:40] + "\n" + token[40:],
			"of that length":       strings.Repeat("A", 76),
			"with a break instead": token[:40] + "\n" + token[41:],
			"two":                  token + ", " + token,
			"very long":            strings.Repeat(token, 100_000),
		} {
			_, err := c.Verify(t.Context(), text)
			require.ErrorIs(t, err, readview.ErrTokenForged, name)
			require.ErrorIs(t, err, readview.ErrToken, name)
		}
	})
	t.Run("of another key is refused", func(t *testing.T) {
		t.Parallel()
		_, err := c.Verify(t.Context(), b.consistency(manager, b.pool, time.Second, key("x")).Token(position))
		require.ErrorIs(t, err, readview.ErrTokenForged)
	})
	t.Run("of another log is refused", func(t *testing.T) {
		t.Parallel()
		other := newBank(t)
		foreign, _ := other.manager(fast(), balances())
		_, err := c.Verify(t.Context(), other.consistency(foreign, other.pool, time.Second).Token(position))
		require.ErrorIs(t, err, readview.ErrTokenForeign)
		require.ErrorIs(t, err, readview.ErrToken)
	})
	t.Run("of the future is refused, and counts when that has come", func(t *testing.T) {
		t.Parallel()
		b := newBank(t)
		manager, _ := b.manager(fast(), balances())
		c := b.consistency(manager, b.pool, 50*time.Millisecond)
		future := c.Token(b.deposit(1) + 1)
		_, err := c.Wait(t.Context(), future)
		require.ErrorIs(t, err, readview.ErrTokenFuture)
		require.ErrorIs(t, err, readview.ErrToken)
		b.deposit(1)
		_, err = c.Verify(t.Context(), future)
		require.NoError(t, err)
	})
	t.Run("keeps counting while the key is changed", func(t *testing.T) {
		t.Parallel()
		before := b.consistency(manager, b.pool, time.Second, key("k"), key("n"))
		after := b.consistency(manager, b.pool, time.Second, key("n"), key("k"))
		later := b.consistency(manager, b.pool, time.Second, key("n"))
		for _, c := range []*readview.Consistency{before, after} {
			for _, issuer := range []*readview.Consistency{before, after} {
				_, err := c.Verify(t.Context(), issuer.Token(position))
				require.NoError(t, err)
			}
		}
		_, err := later.Verify(t.Context(), after.Token(position))
		require.NoError(t, err)
		_, err = later.Verify(t.Context(), before.Token(position))
		require.ErrorIs(t, err, readview.ErrTokenForged)
	})
}
