"""The server's side of Cyrus SASL's library, by ctypes.

Its configuration is uvsmtp.conf in the folder that SASL_CONF_PATH names.
"""
import ctypes.util
import threading
from ctypes import byref, c_char_p, c_int, c_uint, c_ulong, c_void_p

SASL_OK, SASL_CONTINUE = 0, 1
SASL_USERNAME, SASL_CHANNEL_BINDING = 0, 21
SASL_SUCCESS_DATA = 4
SASL_CB_LIST_END = 0


class ChannelBinding(ctypes.Structure):
    _fields_ = [("name", c_char_p), ("critical", c_int), ("len", c_ulong), ("data", c_char_p)]


class Callback(ctypes.Structure):
    _fields_ = [("id", c_ulong), ("proc", c_void_p), ("context", c_void_p)]


class Library:
    def __init__(self):
        self.lib = ctypes.CDLL(ctypes.util.find_library("sasl2"))
        self.lib.sasl_errdetail.restype = c_char_p
        self.lib.sasl_errdetail.argtypes = [c_void_p]
        self.lock = threading.Lock()  # the library has none of its own
        self.callbacks = (Callback * 1)(Callback(SASL_CB_LIST_END, None, None))
        if self.lib.sasl_server_init(self.callbacks, b"uvsmtp") != SASL_OK:
            raise OSError("sasl_server_init")

    def connection(self, binding):
        conn = c_void_p()
        rc = self.lib.sasl_server_new(b"smtp", b"mail.test.example", b"test.example", None, None,
                                      self.callbacks, SASL_SUCCESS_DATA, byref(conn))
        if rc != SASL_OK:
            raise OSError("sasl_server_new: %d" % rc)
        bound = None
        if binding is not None:
            bound = ChannelBinding(b"tls-unique", 0, len(binding), binding)
            self.lib.sasl_setprop(conn, SASL_CHANNEL_BINDING, byref(bound))
        return conn, bound

    def mechanisms(self, binding):
        names = c_char_p()
        with self.lock:
            conn, bound = self.connection(binding)
            self.lib.sasl_listmech(conn, None, b"", b" ", b"", byref(names), None, None)
            found = names.value.decode().split()
            self.lib.sasl_dispose(byref(conn))
        return found

    def start(self, mechanism, binding):
        return Exchange(self, mechanism, binding)


class Exchange:
    def __init__(self, library, mechanism, binding):
        self.library, self.lib = library, library.lib
        self.mechanism = mechanism.encode()
        with library.lock:
            self.conn, self.bound = library.connection(binding)
        self.begun = False

    def step(self, response):
        out, out_len = c_void_p(), c_uint()
        given = (response, c_uint(len(response or b"")))
        with self.library.lock:
            if self.begun:
                rc = self.lib.sasl_server_step(self.conn, *given, byref(out), byref(out_len))
            else:
                rc = self.lib.sasl_server_start(self.conn, self.mechanism, *given, byref(out),
                                                byref(out_len))
            self.begun = True
            if rc not in (SASL_OK, SASL_CONTINUE):
                raise ValueError((self.lib.sasl_errdetail(self.conn) or b"?").decode())
            challenge = ctypes.string_at(out, out_len.value) if out.value else b""
        return rc == SASL_OK, challenge

    def user(self):
        name = c_char_p()
        with self.library.lock:
            self.lib.sasl_getprop(self.conn, SASL_USERNAME, byref(name))
            found = name.value.decode()
            self.lib.sasl_dispose(byref(self.conn))
        return found
