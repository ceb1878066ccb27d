"""Addresses, identities with letters, and secrets: a pattern each, and what is checked of a match. Pure.

The patterns are RE2's, so each takes time linear in the text. `word`: no letter or digit stands beside a match.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from stdnum.cl import rut
from stdnum.es import dni, nie
from stdnum.fi import hetu
from stdnum.fr import nir
from stdnum.ie import pps
from stdnum.it import codicefiscale
from stdnum.mx import curp

from smallmodel_operator.routing.detect import checks

PII, PCI, SECRETS = "Pii", "Pci", "Secrets"


@dataclass(frozen=True, slots=True)
class Pattern:
    """`valid` is asked of each match; it may be given more than the number itself and find it.
    `no_hash`: a hash in hexadecimal holds such things by chance."""

    name: str
    detector: str
    pattern: str
    valid: Callable[[str], bool] | None = None
    word: bool = False
    no_hash: bool = False


_VAT_COUNTRIES: Final = "AT|BE|BG|CY|CZ|DE|DK|EE|EL|ES|FI|FR|HR|HU|IE|IT|LT|LU|LV|MT|NL|PL|PT|RO|SE|SI|SK"
_S: Final = r"[ .\-]?"
_M: Final = r"[ .\-+_/\t\r\n]{0,2}"
_OMO: Final = "[0-9lmnp-v]"
"""A digit of a codice fiscale, or the letter in its place where two people would have the same (omocodia)."""
_MAIL: Final = r"[\pL\pN._%+\-]{1,64}"
_HOST: Final = r"(?:[\pL\pN][\pL\pN-]{0,62}\.)+\pL{2,24}"

PATTERNS: Final = (
    Pattern("Iban", PII, rf"(?i)(?:{checks.COUNTRIES}){_M}[0-9]{_M}[0-9](?:{_M}[a-z0-9]){{11,30}}", checks.iban, no_hash=True),
    Pattern("EmailAddress", PII, rf"{_MAIL}@{_HOST}"),
    Pattern("EmailAddress", PII, rf"(?i){_MAIL} ?(?:\[at\]|\(at\)|\{{at\}}|<at>) ?[\pL\pN-]+(?: ?(?:\.|\[dot\]|\(dot\)) ?[\pL\pN-]+)+"),
    Pattern("EmailAddress", PII, r"(?i)[a-z0-9._%+\-]{1,64} at [a-z0-9-]{1,63}(?: dot [a-z0-9-]{2,24})+"),
    Pattern("PhoneNumber", PII, r"(?:\+ ?|\b00)[1-9](?:[ ().\-/]{0,3}[0-9]){7,15}", checks.e164),
    Pattern("PhoneNumber", PII, r"(?:\b0[1-9]|\(0[1-9])[0-9]{0,4}\)?(?:[ .\-/]{0,3}[0-9]{2,8}){1,5}", checks.national, word=True),
    Pattern("PhoneNumber", PII, r"(?:\b1[\-. ])?(?:\([2-9][0-9]{2}\) ?|\b[2-9][0-9]{2}[\-.])[2-9][0-9]{2}[\-. ][0-9]{4}", word=True),
    Pattern("PhoneNumber", PII, r"(?i)(?:phone|tel|call|mobile|cell|fax|whatsapp|sms|text)(?:[a-z]{0,6}\.?| me| us)?(?: number| no\.?)?(?: is| at| on)?[ :=#]{1,3}\(?[2-9][0-9]{2}\)?[ .\-]?[2-9][0-9]{2}[ .\-]?[0-9]{4}", word=True),
    Pattern("IpAddress", PII, r"[0-9]{1,3}\.[0-9]{1,3}\.[0-9]{1,3}\.[0-9]{1,3}", checks.ip, word=True),
    Pattern("IpAddress", PII, r"[0-9A-Fa-f]{0,4}:[0-9A-Fa-f:]{0,34}:[0-9A-Fa-f.]{0,15}", checks.ipv6, word=True),
    Pattern("MacAddress", PII, r"[0-9A-Fa-f]{2}(?:[:\-][0-9A-Fa-f]{2}){5}|[0-9A-Fa-f]{4}\.[0-9A-Fa-f]{4}\.[0-9A-Fa-f]{4}", checks.mac, word=True),
    Pattern("EsDni", PII, rf"[0-9]{{2}}{_S}[0-9]{{3}}{_S}[0-9]{{3}}{_S}[A-Za-z]", lambda m: dni.is_valid(checks.compact(m)), word=True),
    Pattern("EsNie", PII, rf"[XYZxyz]{_S}[0-9]{{7}}{_S}[A-Za-z]", lambda m: nie.is_valid(checks.compact(m)), word=True),
    Pattern("ItCodiceFiscale", PII, rf"(?i)[a-z]{{3}}{_S}[a-z]{{3}}{_S}{_OMO}{{2}}[abcdehlmprst]{_OMO}{{2}}{_S}[a-z]{_OMO}{{3}}[a-z]", lambda m: codicefiscale.is_valid(checks.compact(m)), word=True),
    Pattern("FiHetu", PII, r"[0-9]{6}[+\-A-FYXWVUa-fyxwvu][0-9]{3}[0-9A-Za-z]", lambda m: hetu.is_valid(m), word=True),
    Pattern("IePps", PII, r"[0-9]{7}[A-Wa-w][A-IWa-iw]?", lambda m: pps.is_valid(m), word=True),
    Pattern("UkNino", PII, r"(?i)[abceghj-prstw-z][abceghj-nprstw-z][ .\-]?[0-9]{2}[ .\-]?[0-9]{2}[ .\-]?[0-9]{2}[ .\-]?[a-d]", word=True),
    Pattern("FrNir", PII, rf"[12]{_S}[0-9]{{2}}{_S}[0-9]{{2}}{_S}2[ABab]{_S}[0-9]{{3}}{_S}[0-9]{{3}}{_S}[0-9]{{2}}", lambda m: nir.is_valid(checks.compact(m)), word=True),
    Pattern("CnResidentId", PII, r"[1-9][0-9]{5}(?:19|20)[0-9]{9}[0-9Xx]", checks.ric, word=True),
    Pattern("SgNric", PII, r"[STFGstfg][0-9]{7}[A-Za-z]", checks.nric, word=True),
    Pattern("ClRut", PII, r"[0-9]{1,2}\.[0-9]{3}\.[0-9]{3}-[0-9Kk]", lambda m: rut.is_valid(m), word=True),
    Pattern("MxCurp", PII, r"(?i)[a-z]{4}[0-9]{6}[hm][a-z]{5}[0-9a-z][0-9]", lambda m: curp.is_valid(m.upper()), word=True),
    Pattern("InPan", PII, r"(?i)(?:\bpan\b|permanent account)[^\n]{0,24}\b[a-z]{3}[abcfghljpt][a-z][0-9]{4}[a-z]", word=True),
    Pattern("EuVat", PII, rf"\b(?:{_VAT_COUNTRIES}){_S}[0-9A-Z](?:{_S}[0-9A-Z]){{7,12}}", checks.vat),
    Pattern("PrivateKey", SECRETS, r"-----BEGIN [A-Z0-9 ]{0,30}PRIVATE KEY(?: BLOCK)?-----|PuTTY-User-Key-File-[0-9]|AGE-SECRET-KEY-1[0-9A-Z]{20,}"),
    Pattern("Jwt", SECRETS, r"eyJ[A-Za-z0-9_\-]{8,}\.[A-Za-z0-9_\-]{0,}\.[A-Za-z0-9_\-]{8,}"),
    Pattern("AwsKey", SECRETS, r"(?:AKIA|ASIA|AGPA|AIDA|AROA|ANPA)[A-Z0-9]{16}", word=True),
    Pattern("GitHubToken", SECRETS, r"gh[pousr]_[A-Za-z0-9]{36,}|github_pat_[A-Za-z0-9_]{22,}"),
    Pattern("GitLabToken", SECRETS, r"gl(?:pat|ptt|dt|rt|soat|cbt)-[A-Za-z0-9_\-]{20,}"),
    Pattern("SlackToken", SECRETS, r"xox[abeoprs]-[A-Za-z0-9-]{10,}|xapp-[0-9]-[A-Za-z0-9-]{10,}|hooks\.slack\.com/services/[A-Za-z0-9/]{20,}"),
    Pattern("StripeKey", SECRETS, r"(?:sk|rk|pk)_(?:live|test)_[A-Za-z0-9]{16,}|whsec_[A-Za-z0-9]{20,}"),
    Pattern("GoogleKey", SECRETS, r"AIza[A-Za-z0-9_\-]{35}|ya29\.[A-Za-z0-9_\-]{20,}|GOCSPX-[A-Za-z0-9_\-]{20,}"),
    Pattern("ModelApiKey", SECRETS, r"sk-(?:proj-|ant-|or-|svcacct-)?[A-Za-z0-9_\-]{20,}|(?:hf|gsk|r8|nvapi|xai|pplx|fw|tgp_v1|csk)[_-][A-Za-z0-9_\-]{30,}|\bAQ\.[A-Za-z0-9_\-]{40,}"),
    Pattern("PackageToken", SECRETS, r"npm_[A-Za-z0-9]{36}|rubygems_[0-9a-f]{48}|\boy2[a-z2-7]{43}\b|pypi-[A-Za-z0-9_\-]{50,}|dckr_pat_[A-Za-z0-9_\-]{20,}|hvs\.[A-Za-z0-9_\-]{20,}"),
    Pattern("MailToken", SECRETS, r"SG\.[A-Za-z0-9_\-]{16,}\.[A-Za-z0-9_\-]{16,}|key-[0-9a-f]{32}|[0-9]{8,10}:AA[A-Za-z0-9_\-]{33}|SK[0-9a-f]{32}"),
    Pattern("ServiceToken", SECRETS, r"(?:do[opr]_v1_|shp(?:at|ca|pa|ss)_|dapi|NRAK-|lin_api_|ntn_|glsa_|glc_|dp\.(?:pt|st|ct|sa)\.|pul-|nfp_|sntry[su]_|sbp_|pscale_(?:tkn|pw|oauth)_|HRKU-|ATATT3|ATBB|EAAA|EAACEdEose0cBA|fm[12]_|figd_|SSWS |PMAK-|rnd_|tskey-[a-z]{2,12}-|dt0c01\.|sgp_|secret_)[A-Za-z0-9_\-]{24,}"),
    Pattern("ServiceToken", SECRETS, r"[A-Za-z0-9]{14}\.atlasv1\.[A-Za-z0-9_\-=]{60,}|[MNO][A-Za-z0-9_\-]{23,27}\.[A-Za-z0-9_\-]{6}\.[A-Za-z0-9_\-]{27,}|(?:discord(?:app)?\.com/api/webhooks/[0-9]{17,20}|webhook\.office\.com/webhookb2)/[A-Za-z0-9_\-@]{20,}"),
    Pattern("CloudKey", SECRETS, r"\b[A-Za-z0-9_~.\-]{3}[78]Q~[A-Za-z0-9_~.\-]{31,34}|[?&]sig=[A-Za-z0-9%+/]{30,}|\b1//0[A-Za-z0-9_\-]{30,}"),
    Pattern("PasswordInCommand", SECRETS, r"curl [^\n]{0,200}(?:-u|--user)[ =]{0,2}[\"']?[^\s:\"']{1,64}:[^\s\"'$]{4,}"),
    Pattern("PasswordInUrl", SECRETS, r"[a-z][a-z0-9+.\-]{1,20}://[^\s:/@]{0,64}:[^\s:/@]{1,128}@[^\s/]"),
    Pattern("AssignedSecret", SECRETS, r"(?i)(?:passwor[dt]|passwd|passphrase|pwd|mot de passe|contrase(?:ñ|n)a|senha|wachtwoord|has(?:ł|l)o|l(?:ö|o)senord|kennwort|пароль|secret|api[_\- ]?key|access[_\- ]?key|auth[_\- ]?token|access[_\- ]?token|refresh[_\- ]?token|client[_\- ]?secret|account[_\- ]?key|private[_\- ]?key|credential)s?[\"'\\`]{0,3}(?: is)?[ \t]{0,3}(?::=|=>|:|=| )[ \t]{0,3}[\"'\\`]{0,3}[^\s\"'`\\<>{},;]{8,200}", checks.secret),
    Pattern("AssignedSecret", SECRETS, r"(?i)(?:token|session(?:[_-]?id)?|sessid|jsessionid|cookie)[\"'\\`]{0,3}[ \t]{0,3}[:=][ \t]{0,3}[\"'\\`]{0,3}[A-Za-z0-9_\-.~+/]{16,}", checks.token),
    Pattern("BearerToken", SECRETS, r"(?i)(?:bearer|basic|token) [A-Za-z0-9_\-.~+/]{12,}={0,2}", checks.bearer),
)  # fmt: skip
