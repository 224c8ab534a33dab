// One end of one TLS connection, with Go's crypto/tls. The first argument is JSON, see ../script.py; a
// server prints "port N", and at the end either role prints "seen {...}". The flows are those of ../base.py.
package main

import (
	"bytes"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"runtime"
	"time"
)

type setup struct {
	Role, Host, Name, Flow, Data, Cert, Key, CA, Suite string
	Port                                               int
	Version                                            uint16
	Client                                             bool
	Groups, ALPN                                       []string
}

var groups = map[string]tls.CurveID{
	"x25519":             tls.X25519,
	"secp256r1":          tls.CurveP256,
	"secp384r1":          tls.CurveP384,
	"secp521r1":          tls.CurveP521,
	"X25519MLKEM768":     tls.X25519MLKEM768,
	"SecP256r1MLKEM768":  tls.CurveID(4587),
	"SecP384r1MLKEM1024": tls.CurveID(4589),
}

func main() {
	if os.Args[1] == "version" {
		fmt.Println(runtime.Version())
		return
	}
	if os.Args[1] == "resume" {
		resume(os.Args[2])
		return
	}
	var s setup
	check(json.Unmarshal([]byte(os.Args[1]), &s))
	conn := meet(&s, config(&s))
	check(conn.SetDeadline(time.Now().Add(20 * time.Second)))
	check(conn.Handshake())
	data, err := os.ReadFile(s.Data)
	check(err)
	hash, err := converse(conn, s.Flow, data)
	check(err)
	state := conn.ConnectionState()
	seen, err := json.Marshal(map[string]any{
		"close_notify": true,
		"sha256":       hex.EncodeToString(hash),
		"alpn":         state.NegotiatedProtocol,
		"cipher":       tls.CipherSuiteName(state.CipherSuite),
		"group":        state.CurveID.String(),
		"client":       len(state.PeerCertificates) > 0,
	})
	check(err)
	fmt.Printf("seen %s\n", seen)
	check(conn.Close())
}

func config(s *setup) *tls.Config {
	pem, err := os.ReadFile(s.CA)
	check(err)
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(pem)
	c := &tls.Config{
		MinVersion: s.Version,
		MaxVersion: s.Version,
		RootCAs:    pool,
		ClientCAs:  pool,
		ServerName: s.Name,
		NextProtos: s.ALPN,
	}
	if s.Cert != "" {
		pair, err := tls.LoadX509KeyPair(s.Cert, s.Key)
		check(err)
		c.Certificates = []tls.Certificate{pair}
	}
	if s.Role == "server" && s.Client {
		c.ClientAuth = tls.RequireAndVerifyClientCert
	}
	for _, suite := range tls.CipherSuites() {
		if s.Version == tls.VersionTLS12 && suite.Name == s.Suite {
			c.CipherSuites = []uint16{suite.ID}
		}
	}
	if s.Version == tls.VersionTLS12 {
		c.Renegotiation = tls.RenegotiateFreelyAsClient
	}
	for _, name := range s.Groups {
		c.CurvePreferences = append(c.CurvePreferences, groups[name])
	}
	return c
}

func meet(s *setup, c *tls.Config) *tls.Conn {
	if s.Role == "client" {
		conn, err := net.Dial("tcp", fmt.Sprintf("%s:%d", s.Host, s.Port))
		check(err)
		return tls.Client(conn, c)
	}
	listener, err := net.Listen("tcp", s.Host+":0")
	check(err)
	fmt.Printf("port %d\n", listener.Addr().(*net.TCPAddr).Port)
	conn, err := listener.Accept()
	check(err)
	listener.Close()
	return tls.Server(conn, c)
}

func converse(conn *tls.Conn, flow string, data []byte) ([]byte, error) {
	hash := sha256.New()
	var kept bytes.Buffer
	if flow == "first" {
		if _, err := conn.Write(data); err != nil {
			return nil, err
		}
		if err := conn.CloseWrite(); err != nil {
			return nil, err
		}
	}
	buffer := make([]byte, 65536)
	for received := 0; ; {
		n, err := conn.Read(buffer)
		received += n
		hash.Write(buffer[:n])
		if flow == "collect" {
			kept.Write(buffer[:n])
		}
		if n > 0 && (flow == "echo" || flow == "close") {
			if _, err := conn.Write(buffer[:n]); err != nil {
				return nil, err
			}
		}
		if flow == "close" && received == len(data) {
			if err := conn.CloseWrite(); err != nil {
				return nil, err
			}
		}
		if errors.Is(err, io.EOF) { // close_notify: a bare end is io.ErrUnexpectedEOF
			break
		}
		if err != nil {
			return nil, err
		}
	}
	if flow == "first" || flow == "close" { // closed already
		return hash.Sum(nil), nil
	}
	if _, err := conn.Write(kept.Bytes()); err != nil {
		return nil, err
	}
	return hash.Sum(nil), conn.CloseWrite()
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
