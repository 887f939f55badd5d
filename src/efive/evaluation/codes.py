"""Codes of languages in one spelling: data of many hands has `de`, `deu` and `deu_Latn` for one."""

_PAIRS = """
ara=ar ben=bn bul=bg ces=cs cmn=zh dan=da deu=de ell=el eng=en est=et fas=fa fin=fi fra=fr heb=he hin=hi hun=hu ind=id
ita=it jpn=ja kat=ka kor=ko lit=lt lvs=lv nld=nl pes=fa pol=pl por=pt ron=ro rus=ru slk=sk slv=sl spa=es srp=sr swa=sw
swe=sv swh=sw tam=ta tel=te tha=th tur=tr ukr=uk urd=ur vie=vi yor=yo zho=zh
"""
_SHORT = dict(pair.split("=") for pair in _PAIRS.split())


def short(code: str) -> str:
    """Return the two letters of a widespread language, and any other code without script and region."""
    bare = code.partition("_")[0]
    return _SHORT.get(bare, bare)


def short_pair(language: str) -> str:
    """Return a language or a pair joined by a hyphen with the codes of `short`."""
    return "-".join(map(short, language.split("-")))
