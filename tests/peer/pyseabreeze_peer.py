"""Drives a serial port with python-seabreeze's own implementation of the Ocean Binary Protocol.

    pyseabreeze_peer.py PORT PROFILE BAUD

python-seabreeze 2.11 speaks the protocol over USB only; SerialTransport below carries it over a serial port. Everything a
vendor client asks at open is asked, with the vendor's expectations of type and length, then spectra are taken with the
laser off and on. Prints one JSON object of what was read; any disagreement raises and exits with 1.
"""

import json
import math
import struct
import sys
import time

import serial
from seabreeze.pyseabreeze.exceptions import SeaBreezeError
from seabreeze.pyseabreeze.protocol import OBPProtocol
from seabreeze.pyseabreeze.types import PySeaBreezeTransport

EXTRA_MESSAGES = {
    0x00000000: "", 0x00000005: "", 0x00000080: "", 0x00000090: "", 0x00000200: "", 0x00000800: "", 0x00000810: "<L",
    0x00000804: "", 0x00100000: "", 0x00100830: "", 0x00100900: "", 0x00100902: "", 0x00100908: "",
    0x00110000: "", 0x00110001: "", 0x00110002: "", 0x00110100: "", 0x00110220: "", 0x00110400: "", 0x00110410: "<B",
    0x00120000: "", 0x00120010: "<H", 0x00121000: "", 0x00121010: "<B", 0x00183100: "", 0x00183101: "<B",
    0x00400000: "", 0x00400001: "<B", 0x00400002: "", 0x00420000: "", 0x00420001: "", 0x00420003: "",
    0x00810021: "<BB", 0x00810031: "<BBB", 0x00FFFFFF: "",
}
for number, layout in EXTRA_MESSAGES.items():
    OBPProtocol.msgs.setdefault(number, struct.Struct(layout).pack)


class SerialTransport(PySeaBreezeTransport):
    """The protocol's bytes over a serial port."""

    def __init__(self, baud):
        self._baud, self._ser, self._p = baud, None, None

    def open_device(self, device):
        self._ser = serial.Serial(device, self._baud, timeout=5)
        self._p = OBPProtocol(self)

    def close_device(self):
        self._ser.close()
        self._ser = self._p = None

    @property
    def is_open(self):
        return self._ser is not None

    def write(self, data, timeout_ms=None, **kwargs):
        return self._ser.write(data)

    def read(self, size=None, timeout_ms=None, **kwargs):
        self._ser.timeout = (timeout_ms or 10_000) / 1e3
        return self._ser.read(64 if size is None else size)

    @property
    def default_timeout_ms(self):
        return 10_000

    @property
    def protocol(self):
        if self._p is None:
            raise RuntimeError("no protocol instance available")
        return self._p

    @classmethod
    def list_devices(cls, **kwargs):
        return []

    @classmethod
    def register_model(cls, model_name, **kwargs):
        pass

    @classmethod
    def supported_model(cls, device):
        return None

    @classmethod
    def specialize(cls, model_name, **kwargs):
        raise NotImplementedError

    @classmethod
    def initialize(cls, **kwargs):
        pass

    @classmethod
    def shutdown(cls, **kwargs):
        pass


def main(port, profile, baud):
    transport = SerialTransport(baud)
    transport.open_device(port)
    protocol = transport.protocol
    seen = {}

    def ask(message_type, layout, *payload):
        data = protocol.query(message_type, payload if payload else ())
        values = struct.unpack(layout, data)
        return values[0] if len(values) == 1 else values

    def refused(message_type, *payload):
        try:
            protocol.query(message_type, payload if payload else ())
        except SeaBreezeError as error:
            return str(error)
        raise AssertionError(f"{message_type:#010x} was not refused")

    # What SeaBreeze asks at open: serial number (its length first, the number twice), then the axis.
    length = ask(0x00000101, "<B")
    serials = [protocol.query(0x00000100).decode("ascii") for _ in range(2)]
    assert serials[0] == serials[1] and 0 < len(serials[0]) <= length, serials
    seen["serial"] = serials[0]
    coefficients = [ask(0x00180101, "<f", index) for index in range(4)]
    assert ask(0x00180100, "<B") == 4
    pixels = 1044 if profile == "qepro" else 1024
    wavelengths = [sum(c * p**i for i, c in enumerate(coefficients)) for p in range(pixels)]
    assert all(a < b for a, b in zip(wavelengths, wavelengths[1:])), "wavelengths increase"
    seen["wavelengths_nm"] = [wavelengths[0], wavelengths[-1]]

    # Then feature by feature.
    assert protocol.send(0x00110010, 20_000) == 64, "a set with ACK requested is acknowledged"
    assert ask(0x00110000, "<L") == 20_000
    assert protocol.send(0x00110010, 0) == 0, "an integration time of 0 is refused"
    assert ask(0x00110000, "<L") == 20_000, "a refused value changes nothing"
    nonlinearity = [ask(0x00181101, "<f", index) for index in range(ask(0x00181100, "<B"))]
    assert len(nonlinearity) == 8 and 0.9 < nonlinearity[0] < 1.1
    stray = [ask(0x00183101, "<f", index) for index in range(ask(0x00183100, "<B"))]
    assert all(math.isfinite(value) for value in stray)
    assert ask(0x00120000, "<H") == 1 and ask(0x00121000, "<B") == 0
    sensors = ask(0x00400000, "<B")
    temperatures = ask(0x00400002, f"<{sensors}f")
    assert len(temperatures) == (4 if profile == "qepro" else 3)
    assert abs(ask(0x00400001, "<f", 0) - temperatures[0]) < 0.1, "a temperature drifts slowly"
    assert ask(0x00110220, "<L") == pixels
    assert ask(0x00000800, "<L") == baud and ask(0x00000804, "<B") == 0
    assert ask(0x00000080, "<B") >= 0 and ask(0x00000090, "<H") > 0
    refused(0x00FFFFFF)
    refused(0x00180101, 200)
    if profile == "qepro":
        assert ask(0x00420000, "<B") == 1 and ask(0x00420003, "<B") == 1
        assert abs(ask(0x00420004, "<f") - ask(0x00420001, "<f")) < 0.5
        assert ask(0x00810021, "<B", 0, 0) == 0
    else:
        refused(0x00420004)

    def spectrum():
        if profile == "qepro":
            data = protocol.query(0x00100928)
            assert len(data) == 32 + 4 * 1044
            assert struct.unpack_from("<L", data, 12)[0] == 20_000, "the metadata knows the integration time"
            return struct.unpack_from("<1044L", data, 32)
        data = protocol.query(0x00101000)
        assert len(data) == 2 * 1024
        return struct.unpack("<1024H", data)

    def set_laser(on):
        if profile == "qepro":
            assert protocol.send(0x00810031, (0, 0, on)) == 64
            assert ask(0x00810021, "<B", 0, 0) == on
        else:
            assert protocol.send(0x00110410, on) == 64
            assert ask(0x00110400, "<B") == on

    began = time.monotonic()
    dark = spectrum()
    seen["seconds_per_spectrum"] = time.monotonic() - began
    set_laser(1)
    light = spectrum()
    set_laser(0)
    again = spectrum()
    optical = range(10, 1034) if profile == "qepro" else range(1024)
    total = lambda frame: sum(frame[pixel] for pixel in optical)
    seen["counts"] = {"dark": total(dark), "light": total(light), "dark again": total(again)}
    assert total(light) > 1.02 * total(dark), seen
    assert abs(total(again) - total(dark)) < 0.01 * total(dark), seen

    # The brightest place of an oil that is no background is a band: C=C at 1656 or CH2 at 1440 cm-1, laser at 785 nm.
    above = [light[pixel] - dark[pixel] for pixel in optical]
    shifts = [1e7 * (1 / 785 - 1 / wavelengths[pixel]) for pixel in optical]
    band = max((height, shift) for height, shift in zip(above, shifts) if 1400 < shift < 1700)
    seen["band_per_cm"] = band[1]
    assert abs(band[1] - 1440) < 6 or abs(band[1] - 1656) < 6, seen

    # The line's speed is negotiated at the old one, then both sides change.
    if profile == "qepro":
        faster = 57_600 if baud != 57_600 else 115_200
        assert protocol.send(0x00000810, faster) == 64
        transport._ser.baudrate = faster
        assert protocol.query(0x00000100).decode("ascii") == serials[0]
        assert ask(0x00000800, "<L") == faster
        transport._ser.baudrate = baud
        protocol.send(0x00000100, request_ack=False)
        assert transport.read(64, timeout_ms=200) == b"", "a host at the wrong speed gets no answer"
    transport.close_device()
    print(json.dumps(seen))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
