"""Fixtures of these tests: a folder that lies beside what they are given."""

from support.outside import outside as outside
from support.outside import own_cache as own_cache
from support.outside import unread as unread
