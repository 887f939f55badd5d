"""Elasticsearch's query language on our indices.

`bodies` and the parsers make trees (`tree`, `plan`) of JSON. `expanding` says what they mean for a mapping, `searching`
embeds what they compare by meaning, `evaluation` finds what matches in each index, `ranking` and `sorting` put it in
order, `fetching`, `highlighting` and `aggregations` show it.

Where it is not as in Elasticsearch:

- Words are cut as in collections (`efive.search.terms`), whatever analyzer a mapping might name; `term` and `terms` on
  a text field ask for words in this sense.
- Vectors are compared within what the rest of a `bool` lets through, so that filters beside them take no hits away.
  `num_candidates` is checked, and no more: no neighbours are missed that more candidates would have found.
- `cross_fields` takes for each word the field in which it scores best; statistics of fields are not blended.
- Documents without a value to sort by have `null` among their sort values.
- Each index has one shard; scores of words count by the statistics of their own index.
- A scroll keeps the places of its hits, not the documents: pages show these as they are when the page is asked for.
"""

from efive.server.elastic.queries.searching import count, matching, search

__all__ = ["count", "matching", "search"]
