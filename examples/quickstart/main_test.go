package main

func Example() {
	main()
	// Output:
	// withdraw 1000: not that much in the account
	// balance 70 after 2 events:
	//   1 Deposited {"Amount":100}
	//   2 Withdrawn {"Amount":30}
}
