"""Client of OpenAI-style servers of language models, for correction and for all else that asks one."""
