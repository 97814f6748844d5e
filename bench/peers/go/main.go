// A net/http service that answers a constant: main ADDRESS BODY CONTENT-TYPE.
package main

import (
	"log"
	"net/http"
	"os"
)

func main() {
	if len(os.Args) != 4 {
		log.Fatal("usage: main ADDRESS BODY CONTENT-TYPE")
	}
	address, body, contentType := os.Args[1], []byte(os.Args[2]), os.Args[3]
	http.HandleFunc("/api/light", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", contentType)
		w.Write(body)
	})
	log.Fatal(http.ListenAndServe(address, nil))
}
