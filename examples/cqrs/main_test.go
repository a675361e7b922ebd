package main

func Example() {
	main()
	// Output:
	// Dear anna, you have 5 more.
	// Dear anna, good bye.
}
