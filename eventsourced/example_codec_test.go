package eventsourced_test

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"encoding/json"
	"fmt"

	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/eventsourced/memstore"
)

// sealed encrypts payloads. They stay JSON: a string in base64. A key for each aggregate, to be thrown away when that is to
// be forgotten, is found by stored.Stream, and by event.AggregateID.
type sealed struct{ aead cipher.AEAD }

func (s sealed) Encode(ctx context.Context, event eventsourced.Event) ([]byte, error) {
	plain, err := eventsourced.JSON{}.Encode(ctx, event)
	if err != nil {
		return nil, err
	}
	return json.Marshal(s.aead.Seal(nil, nil, plain, nil))
}

func (s sealed) Decode(ctx context.Context, stored eventsourced.Stored, event eventsourced.Event) error {
	var text []byte
	err := json.Unmarshal(stored.Payload, &text)
	if err == nil {
		stored.Payload, err = s.aead.Open(nil, nil, text, nil)
	}
	if err != nil {
		return err
	}
	return eventsourced.JSON{}.Decode(ctx, stored, event)
}

// A codec is between the events and what is stored of them.
func ExampleWithCodec() {
	ctx := context.Background()
	block, err := aes.NewCipher([]byte("0123456789abcdef")) // yours is secret
	check(err)
	aead, err := cipher.NewGCMWithRandomNonce(block)
	check(err)
	store := memstore.New(eventsourced.MustRegistry(eventsourced.WithCodec(sealed{aead}), eventsourced.Type[Sold]("Sold")))
	tills := eventsourced.NewRepository[Till](store, "shop.Till", eventsourced.RepositoryConfig{})

	_, err = tills.Update(ctx, "1", func(t *Till) error { return t.Sell(300) })
	check(err)
	till, err := tills.Load(ctx, "1")
	check(err)
	for event, err := range store.ReadLog(ctx, eventsourced.LogQuery{}) {
		check(err)
		fmt.Printf("%T of %d bytes, %d in the till\n", event.Payload, len(event.Payload), till.Cash)
	}
	// Output: []uint8 of 58 bytes, 300 in the till
}
