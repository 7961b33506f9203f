"""Tells Dovecot whose bearer token it has before it: tokens.py HOST PORT

The token token-for-NAME belongs to NAME; no other is valid.
"""
import http.server
import json
import sys


class Introspection(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        kind, _, token = self.headers.get("Authorization", "").partition(" ")
        name = token[len("token-for-"):] if token.startswith("token-for-") else ""
        good = kind.lower() == "bearer" and name.isalnum()
        answer = json.dumps({"active": "yes" if good else "no", "user": name}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)


address = (sys.argv[1], int(sys.argv[2]))
http.server.ThreadingHTTPServer(address, Introspection).serve_forever()
