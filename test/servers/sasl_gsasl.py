"""The server's side of GNU SASL, by ctypes."""
import base64
import ctypes.util
from ctypes import CFUNCTYPE, byref, c_char_p, c_int, c_size_t, c_void_p

from fixture import USERS

OK, NEEDS_MORE, NO_CALLBACK, AUTHENTICATION_ERROR = 0, 1, 51, 31
AUTHID, AUTHZID, PASSWORD, SERVICE, HOSTNAME, SCRAM_ITER = 1, 2, 3, 5, 6, 15
CB_TLS_UNIQUE, VALIDATE_EXTERNAL, VALIDATE_ANONYMOUS = 18, 501, 502
OFFERED = ("SCRAM-SHA-256-PLUS", "SCRAM-SHA-1-PLUS", "SCRAM-SHA-256", "SCRAM-SHA-1", "CRAM-MD5",
           "PLAIN", "LOGIN", "EXTERNAL", "ANONYMOUS")

CALLBACK = CFUNCTYPE(c_int, c_void_p, c_void_p, c_int)


class Library:
    def __init__(self):
        self.lib = ctypes.CDLL(ctypes.util.find_library("gsasl"))
        self.lib.gsasl_property_fast.restype = c_char_p
        self.lib.gsasl_property_fast.argtypes = [c_void_p, c_int]
        self.lib.gsasl_property_set.argtypes = [c_void_p, c_int, c_char_p]
        self.lib.gsasl_step.argtypes = [c_void_p, c_char_p, c_size_t, c_void_p, c_void_p]
        self.lib.gsasl_strerror.restype = c_char_p
        self.lib.gsasl_free.argtypes = [c_void_p]
        self.lib.gsasl_finish.argtypes = [c_void_p]
        self.context = c_void_p()
        self.bindings = {}
        self.asked = CALLBACK(self.answer)  # kept, as the library calls it
        if self.lib.gsasl_init(byref(self.context)) != OK:
            raise OSError("gsasl_init")
        self.lib.gsasl_callback_set(self.context, self.asked)

    def answer(self, _context, session, what):
        """The library wants to know something of a session."""
        value = None
        if what == PASSWORD:
            name = (self.lib.gsasl_property_fast(session, AUTHID) or b"").decode()
            value = USERS.get(name)
        elif what == SCRAM_ITER:
            value = "4096"
        elif what == CB_TLS_UNIQUE and self.bindings.get(session):
            value = base64.b64encode(self.bindings[session]).decode()
        elif what in (VALIDATE_EXTERNAL, VALIDATE_ANONYMOUS):
            return OK
        if value is None:
            return NO_CALLBACK
        self.lib.gsasl_property_set(session, what, value.encode())
        return OK

    def mechanisms(self, binding):
        return [name for name in OFFERED if binding or not name.endswith("-PLUS")]

    def start(self, mechanism, binding):
        return Exchange(self, mechanism, binding)


class Exchange:
    def __init__(self, library, mechanism, binding):
        self.library, self.lib = library, library.lib
        self.session = c_void_p()
        self.client_first = mechanism not in ("LOGIN", "CRAM-MD5")
        rc = self.lib.gsasl_server_start(library.context, mechanism.encode(), byref(self.session))
        self.check(rc)
        library.bindings[self.session.value] = binding

    def check(self, rc):
        if rc not in (OK, NEEDS_MORE):
            raise ValueError(self.lib.gsasl_strerror(rc).decode())

    def step(self, response):
        if response is None and self.client_first:
            return False, b""  # asks for the initial response
        out, out_len = c_void_p(), c_size_t()
        rc = self.lib.gsasl_step(self.session, response, len(response or b""), byref(out),
                                 byref(out_len))
        self.check(rc)
        challenge = ctypes.string_at(out, out_len.value) if out.value else b""
        self.lib.gsasl_free(out)
        return rc == OK, challenge

    def user(self):
        name = self.lib.gsasl_property_fast(self.session, AUTHID)
        self.library.bindings.pop(self.session.value, None)
        self.lib.gsasl_finish(self.session)
        return (name or b"nobody").decode()
