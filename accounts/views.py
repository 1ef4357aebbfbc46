"""Accounts, to own polls and to vote where a poll counts accounts.

A token is a JWT that names the account; no session is stored.
"""

from typing import Any

from django.contrib.auth import authenticate
from django.contrib.auth.models import User
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView
from rest_framework_simplejwt.exceptions import ExpiredTokenError, TokenError

from polls import errors
from polls.api.schema import ACCOUNT_AUTH, BODY_REFUSALS, endpoint
from polls.http.attempts import current_attempts
from polls.http.caller import address_of, caller_of
from polls.identity.account_tokens import RefreshToken
from polls.rules.credentials import Credential
from polls.security_events import Event, report


class CredentialsSerializer(serializers.Serializer[Any]):
    username = serializers.CharField(max_length=150)
    password = serializers.CharField(max_length=128, trim_whitespace=False)


class AccountSerializer(serializers.Serializer[Any]):
    id = serializers.IntegerField()
    username = serializers.CharField()


class TokensSerializer(serializers.Serializer[Any]):
    access = serializers.CharField(help_text="For `Authorization: Bearer`; 12 hours.")
    refresh = serializers.CharField(help_text="For a new access token; 30 days.")


class RefreshRequestSerializer(serializers.Serializer[Any]):
    refresh = serializers.CharField()


class NewAccountSerializer(AccountSerializer, TokensSerializer):
    pass


def _credentials(request: Request) -> dict[str, str]:
    serializer = CredentialsSerializer(data=request.data)
    serializer.is_valid(raise_exception=True)
    return dict(serializer.validated_data)


def _tokens(user: User) -> dict[str, str]:
    refresh = RefreshToken.for_user(user)
    return {"access": str(refresh.access_token), "refresh": str(refresh)}


class AccountsView(APIView):
    @endpoint(
        "Make an account",
        operation_id="accounts_create",
        responses={201: NewAccountSerializer},
        refuses=BODY_REFUSALS,
        request=CredentialsSerializer,
        auth=[{}],
    )
    def post(self, request: Request) -> Response:
        given = _credentials(request)
        current_attempts.get().check_now(Credential.ACCOUNT_NAME)
        try:
            User.username_validator(given["username"])
        except ValidationError as error:
            raise _invalid("username", error) from None
        user = User(username=given["username"])
        try:
            validate_password(given["password"], user)
        except ValidationError as error:
            raise _invalid("password", error) from None
        user.set_password(given["password"])
        try:
            with transaction.atomic():
                user.save()
        except IntegrityError:
            taken = {"field": "username", "code": "unique", "detail": "This name is taken."}
            raise errors.Invalid(errors=[taken], missed=Credential.ACCOUNT_NAME) from None
        report(Event.ACCOUNT_MADE, address=address_of(request))
        body = {"id": user.pk, "username": user.username, **_tokens(user)}
        return Response(body, status=201)


class TokenView(APIView):
    @endpoint(
        "Sign in",
        operation_id="accounts_token",
        responses={200: TokensSerializer},
        refuses=(*BODY_REFUSALS, errors.InvalidCredentials),
        request=CredentialsSerializer,
        auth=[{}],
    )
    def post(self, request: Request) -> Response:
        user = authenticate(request._request, **_credentials(request))
        if not isinstance(user, User):
            raise errors.InvalidCredentials
        return Response(_tokens(user))


class RefreshView(APIView):
    @endpoint(
        "A new access token",
        operation_id="accounts_refresh",
        responses={200: TokensSerializer},
        refuses=(*BODY_REFUSALS, errors.InvalidToken),
        request=RefreshRequestSerializer,
        auth=[{}],
    )
    def post(self, request: Request) -> Response:
        serializer = RefreshRequestSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        try:
            refresh = RefreshToken(serializer.validated_data["refresh"])
            user = User.objects.get(pk=refresh["user_id"], is_active=True)
        except (ExpiredTokenError, User.DoesNotExist):
            raise errors.StaleToken from None
        except (TokenError, KeyError):
            raise errors.InvalidToken from None
        return Response(_tokens(user))


class MeView(APIView):
    @endpoint(
        "Your account",
        operation_id="accounts_me",
        responses={200: AccountSerializer},
        refuses=(errors.InvalidToken,),
        auth=ACCOUNT_AUTH,
    )
    def get(self, request: Request) -> Response:
        account_id = caller_of(request).account_id
        if account_id is None:
            raise errors.StaleToken("There is no account's access token in Authorization.")
        user = User.objects.filter(pk=account_id, is_active=True).first()
        if user is None:
            raise errors.StaleToken
        return Response({"id": user.pk, "username": user.username})


def _invalid(field: str, error: ValidationError) -> errors.Invalid:
    found = [
        {"field": field, "code": one.code or "invalid", "detail": " ".join(one.messages)}
        for one in error.error_list
    ]
    return errors.Invalid(errors=found)
