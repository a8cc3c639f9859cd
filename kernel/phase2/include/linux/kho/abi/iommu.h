/* SPDX-License-Identifier: GPL-2.0 */

/*
 * What one kernel tells the next about IOMMUs that go on translating.
 */

#ifndef _LINUX_KHO_ABI_IOMMU_H
#define _LINUX_KHO_ABI_IOMMU_H

#include <linux/types.h>

/* The version of this interface */
#define IOMMU_LUO_FLB_VERSION		1

/**
 * DOC: IOMMU Live Update ABI
 *
 * The IOMMU core uses the ABI defined below for telling the next kernel, across
 * a kexec reboot using the LUO, which IOMMUs go on translating, for which
 * devices, and through which page tables.
 *
 * It is the file-lifecycle-bound (FLB) object of the files that stand for IO
 * address spaces, those of iommufd. The object is one page that begins with a
 * &struct iommu_ser and has one &struct iommu_unit_ser for each IOMMU. It leads
 * to a list of pages, each with one &struct iommu_domain_ser and a &struct
 * iommu_dev_ser for each device that is attached to this domain. The order of
 * units, domains and devices has no meaning.
 *
 * Every domain has a device, and every unit a device behind it. A unit and a
 * device are listed once. On one unit, all devices of a domain have the same
 * domain id, and no device of another domain has it. What is reserved is zero.
 * A kernel that finds it otherwise does not trust any of it.
 *
 * The translation of a listed unit is on, and stays on. In its tables only the
 * listed devices have entries. These entries, and the page tables that they lead
 * to, are in use by hardware, and may not be written to before the devices have
 * been stopped, or have been moved elsewhere. They are memory that is preserved:
 * for VT-d the root table, the context tables that it leads to, and in scalable
 * mode the directory and the first table of the PASIDs of each device.
 *
 * If VT-d remaps interrupts, that stays on as well, through a page that is
 * preserved and zero: a table of two entries, neither of which is present. The
 * register says where it is, and for which mode of the APICs (EIME). So no
 * interrupt of a device gets through before the next kernel has set a table of its
 * own, for the same mode, after which it may free the page.
 *
 * What the page tables lead to is not listed. It is the memory of files that
 * are preserved in the same session as the IO address space.
 *
 * PCI_LUO_FLB_LIVE_TRANSLATION keeps a kernel that does not know this ABI from
 * switching the translation off.
 *
 * This interface is a contract. A kernel that cannot make sense of what it was
 * handed must not go on, as devices access memory through tables that it does
 * not know. A change of the layout or of the meaning of a field needs a new
 * version. @version stays where it is forever. Fields that are reserved are zero.
 */

/*
 * The compatibility string of the FLB. Not "iommu-liveupdate", by which
 * series under review know another layout.
 */
#define IOMMU_LUO_FLB_COMPATIBLE	"iommu-running"

/**
 * enum pt_iommu_ser_format - How the entries of page tables are laid out.
 * @PT_IOMMU_SER_VTDSS:  Second stage of VT-d.
 * @PT_IOMMU_SER_X86_64: First stage of VT-d, the format of x86-64's own tables.
 * @PT_IOMMU_SER_AMDV1:  Host page tables of the AMD IOMMU.
 */
enum pt_iommu_ser_format {
	PT_IOMMU_SER_VTDSS	= 1,
	PT_IOMMU_SER_X86_64	= 2,
	PT_IOMMU_SER_AMDV1	= 3,
};

/*
 * Features of page tables that their entries depend on: the IOMMU does not snoop
 * them, the upper half of the address space is at its very end, all entries are
 * marked as snooped.
 */
#define PT_IOMMU_SER_INCOHERENT		0x1
#define PT_IOMMU_SER_SIGN_EXTEND	0x2
#define PT_IOMMU_SER_FORCE_COHERENCE	0x4

/**
 * struct pt_iommu_ser - A tree of page tables.
 * @format:    One of &enum pt_iommu_ser_format.
 * @features:  PT_IOMMU_SER_INCOHERENT and so on.
 * @top_level: Level of the uppermost table, counted from zero for the lowest.
 * @va_bits:   Number of bits of an IO virtual address.
 * @oa_bits:   Number of bits of the addresses that it is translated to.
 * @reserved:  Zero.
 * @nr_tables: Number of tables.
 * @top:       Physical address of the uppermost table.
 */
struct pt_iommu_ser {
	u32 format;
	u32 features;
	u8 top_level;
	u8 va_bits;
	u8 oa_bits;
	u8 reserved[5];
	u64 nr_tables;
	u64 top;
} __packed;

/**
 * struct iommu_dev_ser - A device that is attached to a domain.
 * @segment:  Its PCI segment (domain) number.
 * @bdf:      Its bus number in the upper, its device and function number in the
 *            lower eight bits.
 * @did:      The domain id that its entry has, for VT-d.
 * @unit:     Index of its IOMMU in &struct iommu_ser.
 * @reserved: Zero.
 */
struct iommu_dev_ser {
	u32 segment;
	u16 bdf;
	u16 did;
	u32 unit;
	u32 reserved;
} __packed;

/**
 * struct iommu_domain_ser - An IO address space.
 * @next:       Physical address of the next one, or zero.
 * @table:      Its page tables.
 * @nr_devices: Number of devices that are attached to it.
 * @reserved:   Zero.
 * @devices:    These devices.
 */
struct iommu_domain_ser {
	u64 next;
	struct pt_iommu_ser table;
	u32 nr_devices;
	u32 reserved;
	struct iommu_dev_ser devices[];
} __packed;

/* Set in iommu_unit_ser.mode if VT-d is in scalable mode */
#define IOMMU_UNIT_SER_SCALABLE		0x1

/**
 * struct iommu_unit_ser - An IOMMU that translates.
 * @registers: Physical address of its registers, by which it is known.
 * @root:      Physical address of its root table.
 * @mode:      IOMMU_UNIT_SER_SCALABLE or zero.
 * @reserved:  Zero.
 */
struct iommu_unit_ser {
	u64 registers;
	u64 root;
	u32 mode;
	u32 reserved;
} __packed;

/**
 * struct iommu_ser - What one kernel tells the next about IOMMUs.
 * @version:    %IOMMU_LUO_FLB_VERSION. Must remain the first field.
 * @nr_units:   Number of IOMMUs.
 * @nr_domains: Number of IO address spaces.
 * @reserved:   Zero.
 * @domains:    Physical address of the first of them, or zero.
 * @units:      The IOMMUs.
 */
struct iommu_ser {
	u32 version;
	u32 nr_units;
	u32 nr_domains;
	u32 reserved;
	u64 domains;
	struct iommu_unit_ser units[];
} __packed;

#endif /* _LINUX_KHO_ABI_IOMMU_H */
