// SPDX-License-Identifier: GPL-2.0-only
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include <sys/mman.h>

#include <linux/kernel.h>
#include <linux/types.h>

#include <libvfio.h>

#define DMA_MEMFD_MAGIC 0x64666d656d616d64ULL

/* How many pages there are to choose from in noiommu mode, for each one needed. */
#define NOIOMMU_POOL_FACTOR 16

/* The first page of the memfd. */
struct dma_memfd_header {
	u64 magic;
	u64 iova;

	/* The pages of the memory, in the order in which the device sees them. */
	u32 nr_pages;
	u32 pages[];
};

/* A page of the memfd, and where it is in physical memory. */
struct page_address {
	iova_t pa;
	u32 page;
};

/* Map a page of the memfd, at @where unless that is NULL. */
static void *map_page(int fd, u32 page, void *where)
{
	const int flags = MAP_SHARED | (where ? MAP_FIXED : 0);
	const u64 size = getpagesize();
	void *vaddr;

	vaddr = mmap(where, size, PROT_READ | PROT_WRITE, flags, fd, page * size);
	VFIO_ASSERT_NE(vaddr, MAP_FAILED);

	return vaddr;
}

static void unmap_page(void *vaddr)
{
	VFIO_ASSERT_EQ(munmap(vaddr, getpagesize()), 0);
}

/* Put the memory together as the header says. */
static void assemble(struct dma_memfd *mem, const struct dma_memfd_header *header)
{
	struct dma_region *region = &mem->region;
	const u64 page_size = getpagesize();

	region->size = header->nr_pages * page_size;
	region->iova = header->iova;
	region->vaddr = mmap_reserve(region->size, page_size, 0);

	for (u32 i = 0; i < header->nr_pages; i++)
		map_page(mem->fd, header->pages[i], region->vaddr + i * page_size);
}

static int compare_pa(const void *a, const void *b)
{
	const struct page_address *pa = a, *pb = b;

	if (pa->pa == pb->pa)
		return 0;

	return pa->pa < pb->pa ? -1 : 1;
}

/* Sort @addresses and return the first of @want that are contiguous. */
static struct page_address *find_contiguous(struct page_address *addresses,
					    u32 count, u32 want)
{
	u32 start = 0;

	qsort(addresses, count, sizeof(*addresses), compare_pa);

	for (u32 i = 0; i < count; i++) {
		u64 offset = (u64)(i - start) * getpagesize();

		if (addresses[i].pa != addresses[start].pa + offset)
			start = i;

		if (i - start + 1 == want)
			return &addresses[start];
	}

	VFIO_FAIL("No %u of %u pages are physically contiguous\n", want, count);
}

/* Choose the pages of the memory among @count ones, and map it. */
static void create_contiguous(struct dma_memfd *mem, struct iommu *iommu,
			      struct dma_memfd_header *header, u32 count)
{
	const u64 page_size = getpagesize();
	struct page_address *addresses, *found;
	struct dma_region *pages, pool = {};

	addresses = calloc_assert(count, sizeof(*addresses));
	pages = calloc_assert(count, sizeof(*pages));

	/* Page 0 is the header. */
	pool.size = count * page_size;
	pool.vaddr = mmap(NULL, pool.size, PROT_READ | PROT_WRITE, MAP_SHARED,
			  mem->fd, page_size);
	VFIO_ASSERT_NE(pool.vaddr, MAP_FAILED);

	/*
	 * Pages that cannot be pinned where they are move. Have them do that
	 * together, rather than each into some gap.
	 */
	if (!__iommu_map(iommu, &pool))
		iommu_unmap(iommu, &pool);

	for (u32 i = 0; i < count; i++) {
		pages[i].vaddr = pool.vaddr + i * page_size;
		pages[i].size = page_size;
		iommu_map(iommu, &pages[i]);

		addresses[i].pa = pages[i].iova;
		addresses[i].page = i + 1;
	}

	found = find_contiguous(addresses, count, header->nr_pages);

	header->iova = found->pa;
	for (u32 i = 0; i < header->nr_pages; i++)
		header->pages[i] = found[i].page;

	/* What is not pinned may move, so pin it again before letting go of it. */
	assemble(mem, header);
	dma_memfd_map(mem, iommu);

	for (u32 i = 0; i < count; i++)
		iommu_unmap(iommu, &pages[i]);

	VFIO_ASSERT_EQ(munmap(pool.vaddr, pool.size), 0);
	free(addresses);
	free(pages);
}

void dma_memfd_create(struct dma_memfd *mem, struct iommu *iommu,
		      iova_t iova, u64 size)
{
	const u64 page_size = getpagesize();
	const u32 nr_pages = size / page_size;
	struct dma_memfd_header *header;
	u32 count = nr_pages;

	VFIO_ASSERT_EQ(nr_pages * page_size, size, "Not a number of pages\n");
	VFIO_ASSERT_LE(sizeof(*header) + nr_pages * sizeof(header->pages[0]), page_size);

	if (iommu->mode->noiommu)
		count *= NOIOMMU_POOL_FACTOR;

	mem->fd = memfd_create("vfio-dma", MFD_CLOEXEC);
	VFIO_ASSERT_GE(mem->fd, 0);

	/* Pages that are allocated in one go are the more likely to be contiguous. */
	VFIO_ASSERT_EQ(fallocate(mem->fd, 0, 0, (1 + count) * page_size), 0);

	header = map_page(mem->fd, 0, NULL);
	header->magic = DMA_MEMFD_MAGIC;
	header->nr_pages = nr_pages;

	if (iommu->mode->noiommu) {
		create_contiguous(mem, iommu, header, count);
	} else {
		header->iova = iova;
		for (u32 i = 0; i < nr_pages; i++)
			header->pages[i] = i + 1;

		assemble(mem, header);
		dma_memfd_map(mem, iommu);
	}

	unmap_page(header);
}

void dma_memfd_adopt(struct dma_memfd *mem, int fd)
{
	struct dma_memfd_header *header;

	mem->iommu = NULL;
	mem->fd = fd;

	header = map_page(fd, 0, NULL);
	VFIO_ASSERT_EQ(header->magic, DMA_MEMFD_MAGIC);
	assemble(mem, header);
	unmap_page(header);
}

void dma_memfd_map(struct dma_memfd *mem, struct iommu *iommu)
{
	const iova_t iova = mem->region.iova;

	iommu_map(iommu, &mem->region);
	VFIO_ASSERT_EQ(mem->region.iova, iova, "The memory has moved\n");

	mem->iommu = iommu;
}

void dma_memfd_cleanup(struct dma_memfd *mem)
{
	if (mem->iommu)
		iommu_unmap(mem->iommu, &mem->region);

	VFIO_ASSERT_EQ(munmap(mem->region.vaddr, mem->region.size), 0);
	VFIO_ASSERT_EQ(close(mem->fd), 0);
}
