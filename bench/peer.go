// A peer for compare: Go's net/smtp, a goroutine for each connection.
//
//	peer HOST PORT MESSAGES SIZE CONNECTIONS [tls]
//
// `tls` means STARTTLS; UVSMTP_BENCH_CA names the certificates to trust.
package main

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/smtp"
	"os"
	"strconv"
	"sync"
	"time"
)

func makeContent(size int) []byte {
	content := make([]byte, size)
	for i := range content {
		content[i] = byte('a' + i%26)
		if i%72 == 70 {
			content[i] = '\r'
		} else if i%72 == 71 {
			content[i] = '\n'
		}
	}
	copy(content[size-2:], "\r\n")
	return content
}

func open(address string, config *tls.Config) (*smtp.Client, error) {
	client, err := smtp.Dial(address)
	if err == nil && config != nil {
		err = client.StartTLS(config)
	}
	return client, err
}

func send(client *smtp.Client, content []byte) error {
	if err := client.Mail("sender@bench.example"); err != nil {
		return err
	}
	if err := client.Rcpt("r0000000@bench.example"); err != nil {
		return err
	}
	body, err := client.Data()
	if err != nil {
		return err
	}
	if _, err = body.Write(content); err != nil {
		return err
	}
	return body.Close()
}

func deliver(address string, config *tls.Config, content []byte, messages int) error {
	client, err := open(address, config)
	for i := 0; err == nil && i < messages; i++ {
		err = send(client, content)
	}
	if err == nil {
		err = client.Quit()
	}
	return err
}

func trust(host string) (*tls.Config, error) {
	pem, err := os.ReadFile(os.Getenv("UVSMTP_BENCH_CA"))
	pool := x509.NewCertPool()
	if err == nil && !pool.AppendCertsFromPEM(pem) {
		err = fmt.Errorf("no certificates to trust")
	}
	return &tls.Config{ServerName: host, RootCAs: pool}, err
}

func run(host, port string, messages, size, connections int, withTLS bool) error {
	var config *tls.Config
	var err error
	if withTLS {
		if config, err = trust(host); err != nil {
			return err
		}
	}
	content := makeContent(size)
	failures := make(chan error, connections)
	var all sync.WaitGroup
	start := time.Now()
	for i := 0; i < connections; i++ {
		all.Add(1)
		go func(share int) {
			defer all.Done()
			if err := deliver(host+":"+port, config, content, share); err != nil {
				failures <- err
			}
		}((messages + connections - 1 - i) / connections)
	}
	all.Wait()
	seconds := time.Since(start).Seconds()
	select {
	case err := <-failures:
		return err
	default:
	}
	fmt.Printf("{\"client\": \"go\", \"tls\": %t, \"messages\": %d, \"accepted\": %d, "+
		"\"seconds\": %.6f, \"rate\": %.1f}\n",
		withTLS, messages, messages, seconds, float64(messages)/seconds)
	return nil
}

func main() {
	words := os.Args[1:]
	var numbers [3]int
	var wrong bool
	for i := range numbers {
		if len(words) > i+2 {
			numbers[i], _ = strconv.Atoi(words[i+2])
		}
		wrong = wrong || numbers[i] <= 0
	}
	withTLS := len(words) == 6 && words[5] == "tls"
	if wrong || len(words) > 6 || (len(words) == 6 && !withTLS) {
		fmt.Fprintln(os.Stderr, "usage: peer HOST PORT MESSAGES SIZE CONNECTIONS [tls]")
		os.Exit(2)
	}
	if err := run(words[0], words[1], numbers[0], numbers[1], numbers[2], withTLS); err != nil {
		fmt.Fprintln(os.Stderr, "peer:", err)
		os.Exit(1)
	}
}
