"""
Settings that change on what is running.

The same names on a connection, for itself, and on a port, for the connections to come.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import Any


class SettingsMixin:
    """
    Something with settings.
    """

    __slots__ = ()

    @abstractmethod
    def change_settings(self, **changes: Any) -> None:
        """
        Change settings of L{UTPConfig <twisted_utp.proto.config.UTPConfig>} by name, all or none of them.

        @raise ValueError: on a value out of range, naming the setting and the range.
        @raise TypeError: on a value of the wrong type, or when there is no such setting.
        """

    def set_send_buffer(self, nbytes: int) -> None:
        """
        Bytes written but not yet sent beyond which producers are paused.

        @raise ValueError: when it is out of range.
        """
        self.change_settings(send_buffer=nbytes)

    def set_receive_buffer(self, nbytes: int) -> None:
        """
        Bytes that the peer may have under way to us or waiting for a paused reader.

        @raise ValueError: when it is out of range.
        """
        self.change_settings(receive_buffer=nbytes)

    def set_target_delay(self, seconds: float) -> None:
        """
        Queueing delay that a delay-based congestion controller aims for.

        @raise ValueError: when it is out of range.
        """
        self.change_settings(target_delay=seconds)

    def set_keepalive(self, seconds: float) -> None:
        """
        Seconds of silence after which a NAT's mapping is refreshed; 0 for never.

        @raise ValueError: when it is out of range.
        """
        self.change_settings(keepalive=seconds)
