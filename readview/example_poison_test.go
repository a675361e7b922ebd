package readview_test

import (
	"context"
	"fmt"
	"strings"

	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/eventsourced/consumer"
	"github.com/dancefinder/eventsourcing/readview"
)

// poisonedExample is a bank whose projection fails at a deposit of 500, of which its table takes no more than 100.
func poisonedExample(onFailure readview.OnFailure) (*exampleBank, eventsourced.Position) {
	projection := accountProjection
	projection.OnFailure = onFailure
	b := newExampleBank(projection)
	position := b.deposit("anna", 500)
	for {
		all, err := b.manager.Status(context.Background())
		check(err)
		if all[0].State == consumer.Failed || all[0].Parked > 0 {
			return b, position
		}
	}
}

func ExampleManager_Show() {
	b, _ := poisonedExample(readview.StopAtFailure)
	defer b.end()
	shown, err := b.manager.Show(context.Background(), "accounts", 0)
	check(err)
	fmt.Println(shown.Parts[0].Name, string(shown.Parts[0].Payload), shown.Failure.Attempts, "tries")
	fmt.Printf("%.42s\n", shown.Failure.Statement)
	// Output:
	// Deposited {"Amount":500} 3 tries
	// INSERT INTO account AS a (id, amount) VALU
}

func ExampleManager_DryRun() {
	b, _ := poisonedExample(readview.StopAtFailure)
	defer b.end()
	rehearsal, err := b.manager.DryRun(context.Background(), "accounts", 0)
	check(err)
	fmt.Println(rehearsal.Statements[0].Args)
	fmt.Println(strings.Contains(rehearsal.Error, "account_amount_check"))
	// Output:
	// [anna 500]
	// true
}

func ExampleManager_Skip() {
	b, position := poisonedExample(readview.StopAtFailure)
	defer b.end()
	ctx := eventsourced.WithActor(context.Background(), "eva")
	check(b.manager.Skip(ctx, "accounts", position, "the bank takes no more than 100"))
	check(b.manager.WaitFor(ctx, b.deposit("anna", 7)))
	fmt.Println(b.amount("anna"))
	operations, err := b.manager.Operations(ctx, readview.OperationsQuery{})
	check(err)
	fmt.Println(operations[0].Actor, operations[0].Command, operations[0].Name, operations[0].Outcome)
	// Output:
	// 7
	// eva skip accounts done
}

func ExampleManager_Park() {
	b, position := poisonedExample(readview.StopAtFailure)
	defer b.end()
	ctx := context.Background()
	check(b.manager.Park(ctx, "accounts", position, "the bank will take more"))
	check(b.manager.WaitFor(ctx, b.deposit("bert", 7))) // another stream goes on
	parked, err := b.manager.Parked(ctx, "accounts")
	check(err)
	fmt.Println(len(parked), parked[0].Position == position, parked[0].Reason)

	check(b.manager.Skip(ctx, "accounts", position, "no, it won't")) // or Retry
	parked, err = b.manager.Parked(ctx, "accounts")
	check(err)
	skipped, err := b.manager.Skipped(ctx, "accounts")
	check(err)
	fmt.Println(len(parked), len(skipped), skipped[0].Reason)
	// Output:
	// 1 true the bank will take more
	// 0 1 no, it won't
}

func ExampleManager_Retry() {
	b, _ := poisonedExample(readview.ParkFailures)
	defer b.end()
	ctx := context.Background()
	check(b.manager.WaitFor(ctx, b.deposit("anna", 7))) // it is put aside behind the one that has failed
	_, err := b.pool.Exec(ctx, `ALTER TABLE account DROP CONSTRAINT account_amount_check`)
	check(err)
	result, err := b.manager.Retry(ctx, "accounts", readview.RetryOptions{})
	check(err)
	fmt.Println(result.Applied, result.Left, b.amount("anna"))
	// Output: 2 0 507
}

func ExampleManager_Explain() {
	b := newExampleBank(accountProjection)
	defer b.end()
	ctx := context.Background()
	b.deposit("anna", 5)
	check(b.manager.WaitFor(ctx, b.deposit("anna", 7)))
	found, err := b.manager.Explain(ctx, "accounts", readview.ExplainOptions{Where: "id = 'anna'"})
	check(err)
	for _, step := range found.Steps {
		fmt.Println(step.Event.Name, step.Op, string(step.Columns["amount"][1]))
	}
	// Output:
	// Deposited INSERT 5
	// Deposited UPDATE 12
}
