"""
Models of loss: which packets a link loses.

A loss model is asked once for each packet, in order.  Loss comes after the queue: a lost packet has used the
link's capacity, as on a radio.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from random import Random

from twisted_utp.testing.checks import check_probability, check_whole


class Loss(ABC):
    """
    A model of loss.
    """

    @abstractmethod
    def loses(self, random: Random) -> bool:
        """
        Is the next packet lost?
        """


class RandomLoss(Loss):
    """
    Each packet is lost with the same probability, whatever became of the others.
    """

    def __init__(self, probability: float) -> None:
        self.probability = check_probability("probability", probability)

    def loses(self, random: Random) -> bool:
        """
        One throw.
        """
        return random.random() < self.probability


class GilbertElliott(Loss):
    """
    Loss in bursts: the link changes between a good and a bad state, packet by packet.
    """

    def __init__(self, to_bad: float, to_good: float, *, loss_in_bad: float = 1.0, loss_in_good: float = 0.0) -> None:
        """
        @param to_bad: probability to turn bad before a packet.
        @param to_good: probability to turn good again; C{1 / to_good} packets is the mean length of a bad spell.
        """
        self.to_bad = check_probability("to_bad", to_bad)
        self.to_good = check_probability("to_good", to_good)
        self.loss_in_bad = check_probability("loss_in_bad", loss_in_bad)
        self.loss_in_good = check_probability("loss_in_good", loss_in_good)
        self.bad = False

    @property
    def mean_loss(self) -> float:
        """
        The share of packets lost in the long run.
        """
        if not self.to_bad + self.to_good:
            return self.loss_in_good
        share = self.to_bad / (self.to_bad + self.to_good)
        return share * self.loss_in_bad + (1 - share) * self.loss_in_good

    def loses(self, random: Random) -> bool:
        """
        One throw for the state, one for the packet.
        """
        if random.random() < (self.to_good if self.bad else self.to_bad):
            self.bad = not self.bad
        return random.random() < (self.loss_in_bad if self.bad else self.loss_in_good)


class EveryNth(Loss):
    """
    Loses packet number C{n}, C{2n}, ...: no randomness at all, for tests that count.
    """

    def __init__(self, n: int) -> None:
        self.n: int = check_whole("n", n, "packets", lowest=1)
        self._seen = 0

    def loses(self, random: Random) -> bool:
        """
        Count.
        """
        self._seen += 1
        return self._seen % self.n == 0
