"""The application, whose passwords are hashed as ever, but not a million times over."""

from django.contrib.auth.hashers import PBKDF2PasswordHasher

from asgi import application

__all__ = ["application"]

PBKDF2PasswordHasher.iterations = 1000
