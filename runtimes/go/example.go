package main

import "fmt"

// The types are the action's own choice: map[string]any does for every argument.
type Person struct {
	Name string `json:"name"`
}

type Greeting struct {
	Greeting string `json:"greeting"`
}

func Main(person Person) Greeting {
	if person.Name == "" {
		person.Name = "stranger"
	}
	fmt.Println("greeting", person.Name)
	return Greeting{"Hello, " + person.Name + "!"}
}
