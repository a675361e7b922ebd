package domain_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/dancefinder/domain"
)

func TestError(t *testing.T) {
	t.Parallel()
	_, err := domain.ParseBandName("")

	t.Run("a refusal names its field and the rule", func(t *testing.T) {
		t.Parallel()
		require.EqualError(t, err, "name: must not be empty")
		require.EqualError(t, domain.ErrTooManyIgnores, "at most 5000 ignored of one kind")
	})
	t.Run("refusals of one code are the same error, also when wrapped", func(t *testing.T) {
		t.Parallel()
		require.ErrorIs(t, fmt.Errorf("row 7: %w", err), domain.ErrInvalid)
		require.NotErrorIs(t, err, domain.ErrBandNotFound)
		require.NotErrorIs(t, err, errors.New("name: must not be empty"))
	})
	t.Run("every sentinel has a code of its own", func(t *testing.T) {
		t.Parallel()
		seen := map[string]bool{}
		for _, sentinel := range []error{
			domain.ErrInvalid, domain.ErrBandNotFound, domain.ErrDanceHallNotFound, domain.ErrGeocodeOutranked,
			domain.ErrEventNotFound, domain.ErrEventExists, domain.ErrEventDeleted, domain.ErrEventChanged,
			domain.ErrTooManyOrigins, domain.ErrTooManyIgnores,
		} {
			var refusal *domain.Error
			require.ErrorAs(t, sentinel, &refusal)
			require.NotEmpty(t, refusal.Code)
			require.NotEmpty(t, refusal.Message)
			require.False(t, seen[refusal.Code], refusal.Code)
			seen[refusal.Code] = true
		}
	})
}
